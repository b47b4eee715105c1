"""Pages for people, without scripts: what those of a hold and of a read-only server share."""
