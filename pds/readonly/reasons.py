"""Why a file is not served, in words for everybody: strangers read them on the front page."""

from __future__ import annotations

from database.errors import DatabaseError


def public_reason(exc: Exception) -> str:
    """What failed, without the paths of this machine that messages of errors name."""
    if isinstance(exc, DatabaseError):
        return f"{exc.reason} ({exc.hint})" if exc.hint else exc.reason
    if isinstance(exc, OSError) and exc.strerror:
        return f"[Errno {exc.errno}] {exc.strerror}"
    return type(exc).__name__
