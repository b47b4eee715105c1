"""Garbage collection: deleting what no manifest refers to any more."""
