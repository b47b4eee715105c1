"""DIDs and handles: resolving, caching, the PLC client."""
