"""Mail to users: rendering it, and handing it to a mail server."""
