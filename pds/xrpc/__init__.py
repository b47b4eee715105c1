"""XRPC over HTTP: routing, parameters, bodies, errors, authentication."""
