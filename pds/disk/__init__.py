"""The data directory: who holds it, what kind of disk it is on, how much room it takes."""
