"""Templates of the crew page."""
