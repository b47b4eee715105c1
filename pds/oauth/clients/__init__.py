"""OAuth clients: the forms of their ids, their metadata, and how they authenticate."""
