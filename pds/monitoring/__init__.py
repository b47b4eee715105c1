"""What the operator can see of a running server."""
