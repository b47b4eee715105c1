"""A hold: its secrets, its tiers, the names of the original, and checks of its settings."""
