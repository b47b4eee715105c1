"""One SQLite file per DID: repository, records, blobs, preferences. Knows no HTTP."""
