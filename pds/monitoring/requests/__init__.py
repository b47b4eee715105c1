"""Data recorded about every request: its id, caller, outcome and duration."""
