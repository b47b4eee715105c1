"""Access by the tokens of an entryway, which is then the authorization server."""
