"""Where the Content-Security-Policy of a page lets its forms end besides this server."""

from __future__ import annotations

from pds.oauth.clients.uris import Uri


def form_source(uri: str) -> str:
    """Return the source of the Content-Security-Policy that allows a form to end at `uri`.

    `uri` is a redirect URI, in whichever spelling the client wrote it.
    """
    parsed = Uri.parse(uri)
    # Policies can name no IPv6 address, so browsers would stop the way back to such a client.
    if parsed.scheme in ("http", "https") and not parsed.host.startswith("["):
        return parsed.origin
    return f"{parsed.scheme}:"
