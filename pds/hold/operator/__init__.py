"""What the operator asks of a hold."""
