"""How an app is named on the pages of an account: by where it comes from, which is no claim."""

from __future__ import annotations

from urllib.parse import urlsplit

from pds.web.pages.strangers_texts import on_one_line

_LOOPBACK = "http://localhost"
_CHARACTERS = 200


def shown_client(client_id: str) -> str:
    """Return the host and path of a client_id; `localhost` for an app on somebody's own device."""
    if client_id.startswith(_LOOPBACK):
        return "localhost"
    parts = urlsplit(client_id)
    return on_one_line(f"{parts.netloc}{parts.path}" if parts.netloc else client_id, _CHARACTERS)
