"""The server: XRPC, accounts, web pages, command line."""

from typing import Final

DISTRIBUTION: Final = "holdfast-pds"
"""The name that pip knows this program by; its metadata hold the version."""
