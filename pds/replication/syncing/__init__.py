"""Getting actors into the replica: which are dirty, which Litestream has open, and its syncs."""
