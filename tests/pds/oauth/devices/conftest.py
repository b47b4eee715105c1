"""Accounts for tests of what browsers remember."""

from tests.pds.accounts.conftest import accounts, clock, session_tokens

__all__ = ["accounts", "clock", "session_tokens"]
