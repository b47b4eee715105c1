"""JOSE: JWTs in their compact form, signed and verified in one place."""
