"""Running behind an entryway: another server has the logins, this one the repositories."""
