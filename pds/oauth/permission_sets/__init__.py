"""Permission sets: Lexicons that list permissions, found on the network and kept in a table."""
