"""Service tokens: JWTs signed with the signing keys of repositories."""
