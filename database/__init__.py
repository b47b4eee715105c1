"""SQLite in WAL mode, set up for Litestream, and plain files. Knows no protocol nouns."""
