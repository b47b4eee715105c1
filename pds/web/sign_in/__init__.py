"""Pages for people who are not signed in: signing in, signing up, a forgotten password."""
