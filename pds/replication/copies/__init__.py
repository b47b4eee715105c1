"""What of a server is no database, copied to its replica: signing keys and blobs."""
