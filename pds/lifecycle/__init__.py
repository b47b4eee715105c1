"""Whole accounts: creation, state, handle, keys, import, deletion."""
