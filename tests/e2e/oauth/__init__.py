"""Clients of OAuth that others wrote, against a real server process."""
