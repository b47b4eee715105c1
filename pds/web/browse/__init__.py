"""Pages on which everybody can look at public repositories: of people here, or of an archive."""
