"""Accounts in the service database: sessions, passwords, invites, email tokens."""
