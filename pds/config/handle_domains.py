"""Domains under which no handle can be made. The server starts with them, and says so."""

from __future__ import annotations

from repo.syntax import InvalidSyntax, ensure_allowed_handle_tld, parse_handle


def find_domain_fault(domain: str) -> str | None:
    """Why no handle can be made under `domain`, which begins with a dot; None if one can."""
    try:
        ensure_allowed_handle_tld(parse_handle(f"name{domain}"))
    except InvalidSyntax as exc:
        return str(exc)
    return None
