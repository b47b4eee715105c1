"""A server on the data directory of the reference PDS, with the reference's environment."""
