"""SQLite in WAL, opened so that Litestream can replicate it. Knows no protocol nouns."""
