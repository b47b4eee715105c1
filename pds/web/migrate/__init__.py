"""Pages for moving an account in from another server, and out to another."""
