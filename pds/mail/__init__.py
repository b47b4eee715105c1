"""Mail to users: rendering it and sending it through a mail server."""
