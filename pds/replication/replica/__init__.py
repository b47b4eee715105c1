"""The place that holds the copy of a server: a directory, an S3 bucket or an SFTP server."""
