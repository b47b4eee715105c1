"""Keeping the replicas of actors small."""
