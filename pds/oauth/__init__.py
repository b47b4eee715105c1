"""The OAuth authorization server: clients, requests, tokens, scopes, devices; it knows no HTTP."""
