"""Redirect URIs: which of them a client may register, and which a request may name.

Spec: https://www.rfc-editor.org/rfc/rfc8252#section-7,
https://www.rfc-editor.org/rfc/rfc8252#section-8.4
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pds.oauth.clients.client_id import DiscoverableClientId, LoopbackClientId
from pds.oauth.clients.metadata import ClientMetadata
from pds.oauth.clients.uris import InvalidUri, Uri, is_local, is_loopback, reversed_domain
from pds.oauth.errors import InvalidRedirectUri

_LOOPBACK_ADDRESSES: Final = ("127.0.0.1", "[::1]")


def redirect_uri_matches(registered: str, requested: str) -> bool:
    """Whether a request may name `requested`, because the client registered `registered`.

    They are the same text, except that a loopback URI registered without a port stands for every
    port: a native client takes whichever is free when it starts (RFC 8252, section 7.3).
    """
    if registered == requested:
        return True
    try:
        ours, theirs = Uri.parse(registered), Uri.parse(requested)
    except InvalidUri:
        return False
    if not is_loopback(ours.host) or ours.has_credentials or theirs.has_credentials:
        return False
    if ours.port is None:
        theirs = replace(theirs, port=None)
    return _identity(ours) == _identity(theirs)


def _identity(uri: Uri) -> tuple[object, ...]:
    return (uri.scheme, uri.host, uri.port, uri.path, uri.query, uri.fragment)


def check_redirect_uris(
    client_id: LoopbackClientId | DiscoverableClientId, metadata: ClientMetadata
) -> None:
    """Check the redirect URIs that a client registers. Raises `InvalidRedirectUri`."""
    for text in metadata.redirect_uris:
        uri = Uri.parse(text)
        problem = _problem_of(uri, is_native=metadata.application_type == "native")
        if problem is None and isinstance(client_id, DiscoverableClientId):
            problem = _foreign_scheme(uri, client_id.url.host)
        if problem is not None:
            raise InvalidRedirectUri(problem)


def _problem_of(uri: Uri, *, is_native: bool) -> str | None:
    if uri.has_credentials:
        return f"Redirect URI {uri.href} must not contain credentials"
    if uri.host == "localhost":
        return f"Loopback redirect URI {uri.href} is not allowed (use explicit IPs instead)"
    if uri.host in _LOOPBACK_ADDRESSES:
        if not is_native:
            return "Loopback redirect URIs are only allowed for native apps"
        return None if uri.scheme == "http" else f"Loopback redirect URI {uri.href} must use HTTP"
    if uri.scheme == "http":
        return 'Only loopback redirect URIs are allowed to use the "http" scheme'
    if uri.scheme == "https":
        if is_local(uri.host):
            return f'Redirect URI "{uri.href}"\'s domain name must not be a local hostname'
        return None
    if not uri.has_private_use_scheme:
        return f'Invalid redirect URI scheme "{uri.scheme}:"'
    if not is_native:
        return "Private-Use URI Scheme redirect URI are only allowed for native apps"
    return None


def _foreign_scheme(uri: Uri, host: str) -> str | None:
    """What is wrong with a private-use scheme that belongs to another domain than the client."""
    own = reversed_domain(host)
    if not uri.has_private_use_scheme or uri.scheme == own:
        return None
    return (
        "Private-Use URI Scheme redirect URI, for discoverable client metadata, must be the fully "
        f"qualified domain name (FQDN) of the client_id, in reverse order ({own}:)"
    )
