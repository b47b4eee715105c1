"""Client ids: the URL of a client's metadata, or `http://localhost` for a client in development.

Spec: https://atproto.com/specs/oauth#clients
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from pds.oauth.clients.scope_text import is_scope_text
from pds.oauth.clients.uris import (
    InvalidUri,
    Uri,
    is_ip,
    is_local,
    parse_https,
    parse_loopback_redirect,
)
from pds.oauth.errors import InvalidClientId, InvalidClientMetadata

MAX_LENGTH: Final = 8_192
"""Characters of a client id. Those of loopback clients name every scope that the client uses."""
LOOPBACK_ORIGIN: Final = "http://localhost"
LOOPBACK_REDIRECT_URIS: Final = ("http://127.0.0.1/", "http://[::1]/")
"""Where answers go to a loopback client that names no place of its own."""

_MAX_LOOPBACK_PARAMETERS: Final = 32


@dataclass(slots=True, frozen=True)
class LoopbackClientId:
    """The id of a client that runs on the person's own machine; it says all there is to know."""

    text: str
    scope: str
    redirect_uris: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class DiscoverableClientId:
    """The id of a client whose metadata is a document on the web."""

    text: str
    url: Uri
    """The same text, taken apart."""


def parse_client_id(text: str) -> LoopbackClientId | DiscoverableClientId:
    """Parse a client id of either form.

    Raises `InvalidClientMetadata`, as the reference does for what has neither form, and
    `InvalidClientId`.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidClientMetadata(f"The client ID is longer than {MAX_LENGTH} characters")
    if text.startswith("https://"):
        return _parse_discoverable(text)
    if text.startswith(LOOPBACK_ORIGIN):
        return _parse_loopback(text)
    raise _formless(text)


def _parse_discoverable(text: str) -> DiscoverableClientId:
    try:
        url = parse_https(text)
    except InvalidUri as exc:
        raise _formless(text, str(exc)) from exc
    problem = _problem_of(url)
    # One client has one id: consents and sessions are found by its text.
    if problem is None and text != url.href:
        problem = f'ClientID must be in canonical form ("{url.href}", got "{text}")'
    if problem is not None:
        raise _formless(text, problem)
    if is_local(url.host):
        raise InvalidClientId("The client_id's TLD must not be a local hostname")
    return DiscoverableClientId(text, url)


def _problem_of(url: Uri) -> str | None:
    """What keeps a URL from being a client id, if anything does."""
    if url.has_credentials:
        return "ClientID must not contain credentials"
    if url.fragment is not None:
        return "ClientID must not contain a fragment"
    if url.path in ("", "/"):
        return 'ClientID must contain a path component (e.g. "/client-metadata.json")'
    if url.path.endswith("/"):
        return "ClientID path must not end with a trailing slash"
    if is_ip(url.host):
        return "ClientID hostname must not be an IP address"
    return None


def _parse_loopback(text: str) -> LoopbackClientId:
    if "#" in text:
        raise _formless(text, "Value must not contain a hash component")
    rest = text.removeprefix(LOOPBACK_ORIGIN).removeprefix("/")
    if rest and not rest.startswith("?"):
        raise _formless(text, "Value must not contain a path component")
    try:
        parameters = parse_qsl(
            rest[1:],
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_LOOPBACK_PARAMETERS,
        )
    except ValueError as exc:
        raise _formless(text, "Value must have a valid query string") from exc
    return _loopback(text, parameters)


def _loopback(text: str, parameters: list[tuple[str, str]]) -> LoopbackClientId:
    scope: str | None = None
    redirect_uris: list[str] = []
    for name, value in parameters:
        if name == "scope":
            if scope is not None:
                raise _formless(text, 'Duplicate "scope" query parameter')
            if not is_scope_text(value):
                raise _formless(text, 'Invalid "scope" query parameter: Invalid OAuth scope')
            scope = value
        elif name == "redirect_uri":
            try:
                parse_loopback_redirect(value)
            except InvalidUri as exc:
                problem = f'Invalid "redirect_uri" query parameter: {exc}'
                raise _formless(text, problem) from exc
            redirect_uris.append(value)
        else:
            raise _formless(text, f'Unexpected query parameter "{name}"')
    return LoopbackClientId(
        text, "atproto" if scope is None else scope, tuple(redirect_uris) or LOOPBACK_REDIRECT_URIS
    )


def _formless(text: str, problem: str = "") -> InvalidClientMetadata:
    return InvalidClientMetadata(f'Invalid client ID "{text}"' + (problem and f": {problem}"))
