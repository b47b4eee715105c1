"""Browsers: who is signed in there, and what people have let clients do."""
