"""Texts for people in their language: which languages there are, and how one is chosen."""
