"""Service tokens, which the signing keys of repositories sign."""
