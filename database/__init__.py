"""SQLite in WAL, opened so that Litestream can replicate it, and files. Knows no protocol nouns."""
