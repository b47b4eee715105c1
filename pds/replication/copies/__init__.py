"""What is copied beside the databases: keys and other secrets, sealed, and blobs on disk."""
