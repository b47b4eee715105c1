"""One run of `pds replicate`: its parts, the databases of the server, and its status."""
