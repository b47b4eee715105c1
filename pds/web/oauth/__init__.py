"""OAuth over HTTP: documents, endpoints for clients, and the pages on which people decide."""
