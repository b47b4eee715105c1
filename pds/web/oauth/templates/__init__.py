"""Templates that the pages of several rooms build on."""
