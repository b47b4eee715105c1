"""Pulls and pushes: counted in memory, kept in a journal, written to records in batches."""
