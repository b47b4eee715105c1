"""How much room the server takes on its disks, and each account of it."""
