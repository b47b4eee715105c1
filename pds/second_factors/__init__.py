"""Second factors: what people show besides their password when they sign in."""
