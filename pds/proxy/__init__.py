"""Requests that are passed on to other services: which, whereto, with what, and what comes back."""
