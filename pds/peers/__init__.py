"""The processes of one server, and the calls that they make to each other."""
