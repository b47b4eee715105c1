"""What the server notes of every request: an id, who called, how it ended and how long it took."""
