"""The server's files on disk: the data directory, free space, disk usage, spools."""
