"""A hold: its secrets, the names of the original, and checks of its settings."""
