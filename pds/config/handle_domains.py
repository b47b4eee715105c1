"""Domains under which handles are invalid. The server starts with them, but logs a warning."""

from __future__ import annotations

from repo.syntax import InvalidSyntax, ensure_allowed_handle_tld, parse_handle


def find_domain_fault(domain: str) -> str | None:
    """Return why handles under `domain`, which begins with a dot, are invalid; None if valid."""
    try:
        ensure_allowed_handle_tld(parse_handle(f"name{domain}"))
    except InvalidSyntax as exc:
        return str(exc)
    return None
