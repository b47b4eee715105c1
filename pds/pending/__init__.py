"""Unfinished work: the journal, retries, running imports, unreferenced uploads."""
