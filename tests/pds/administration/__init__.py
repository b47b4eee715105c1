"""Tests of what only the pages of the administrator need."""
