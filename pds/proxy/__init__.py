"""Proxying requests to other services: which requests, to which service, with which headers."""
