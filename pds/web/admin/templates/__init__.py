"""Templates of the administrator's pages."""
