"""Authorization requests: their parameters, and the rows of those that are under way."""
