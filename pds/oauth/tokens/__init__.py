"""OAuth sessions of accounts: access and refresh tokens, and the table that they live in."""
