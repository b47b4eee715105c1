"""OAuth scopes of atproto: their syntax, what they allow, and what permission sets stand for."""
