"""The permissions of members, as operators type and see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import click

PERMISSIONS: Final[Mapping[str, str]] = {
    "read": "blob:read",
    "write": "blob:write",
    "admin": "crew:admin",
}
"""The name in the protocol of each permission."""


def parse_permissions(text: str) -> list[str]:
    """Parse names such as `read,write`; those of the protocol are understood, too.

    Raises `click.UsageError`.
    """
    known = {**PERMISSIONS, **{name: name for name in PERMISSIONS.values()}}
    named = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in named if name not in known]
    if unknown or not named:
        raise click.UsageError(
            f"--permissions must be among {', '.join(PERMISSIONS)}, separated by commas"
            + (f", not {unknown[0]!r}." if unknown else ".")
        )
    return list(dict.fromkeys(known[name] for name in named))


def short_names(permissions: Iterable[str]) -> str:
    """Return permissions as an operator types them."""
    short = {name: typed for typed, name in PERMISSIONS.items()}
    return ",".join(short.get(name, name) for name in permissions) or "none"
