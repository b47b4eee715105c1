"""Redirect URIs: which of them a request may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.oauth.clients.redirect_uris import redirect_uri_matches
from pds.oauth.clients.uris import InvalidUri, Uri, parse_redirect

SAME = [
    ("https://app.bsky.app/cb", "https://app.bsky.app/cb"),
    ("app.bsky.app:/cb", "app.bsky.app:/cb"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
    ("http://127.0.0.1/cb?x=1", "http://127.0.0.1:49152/cb?x=1"),
    ("http://[::1]/", "http://[::1]:3000/"),
    ("http://[::1]/", "http://[::1]:3000"),
    ("http://127.0.0.1:8080/cb", "http://127.0.0.1:8080/cb"),
]

OTHERS = [
    ("https://app.bsky.app/cb", "https://app.bsky.app/cb/"),
    ("https://app.bsky.app/cb", "https://app.bsky.app/cb?x=1"),
    ("https://app.bsky.app/cb", "https://app.bsky.app/cb#x"),
    ("https://app.bsky.app/cb", "https://app.bsky.app:8443/cb"),
    ("https://app.bsky.app/cb", "https://app.bsky.app:443/cb"),
    ("https://app.bsky.app/cb", "https://APP.bsky.app/cb"),
    ("https://app.bsky.app/cb", "https://app.bsky.app.evil.com/cb"),
    ("https://app.bsky.app/cb", "https://app.bsky.app@evil.com/cb"),
    ("https://app.bsky.app/cb", "http://app.bsky.app/cb"),
    ("https://app.bsky.app/cb", "//app.bsky.app/cb"),
    ("http://127.0.0.1:8080/cb", "http://127.0.0.1:8081/cb"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:8080/other"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:8080/cb?x=1"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:8080/cb#x"),
    ("http://127.0.0.1/cb", "http://[::1]:8080/cb"),
    ("http://127.0.0.1/cb", "http://localhost:8080/cb"),
    ("http://127.0.0.1/cb", "https://127.0.0.1:8080/cb"),
    ("http://127.0.0.1/cb", "http://user@127.0.0.1:8080/cb"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:8080@evil.com/cb"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb"),
    ("http://127.0.0.1/cb", "not a URI"),
    ("app.bsky.app:/cb", "app.bsky.app:/other"),
]

NOT_REDIRECT_URIS = [
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "app:/cb",
    "com.example.app://cb",
    "com.example.app:///cb",
    "localhost.app:/x",
    "https://localhost/",
    "https://127.0.0.1/",
    "https://0x7f.1/",
    "https://foo/x",
    "http://localhost/cb",
    "http://example.com/",
    "https:app.bsky.app",
    "https://app.bsky.app/\r\nLocation: x",
    "https://app.bsky.app/\tx",
    "https://app.bsky.app/ x",
    "https://app.bsky.app/" + "a" * 2_048,
    "https://app.bsky.app\\@evil.com/",
    "https://app.bsky.app;sandbox/",
    "https://app.bsky.app,evil.com/",
    "https://*.bsky.app/",
    "https://app.bsky.app'/",
]


@pytest.mark.parametrize(("registered", "requested"), SAME)
def test_a_request_may_name_a_registered_uri(registered: str, requested: str) -> None:
    assert redirect_uri_matches(registered, requested)


@pytest.mark.parametrize(("registered", "requested"), OTHERS)
def test_a_request_may_name_no_other(registered: str, requested: str) -> None:
    assert not redirect_uri_matches(registered, requested)


@pytest.mark.parametrize("text", NOT_REDIRECT_URIS)
def test_what_could_lead_astray_is_no_redirect_uri(text: str) -> None:
    with pytest.raises(InvalidUri):
        parse_redirect(text)


@given(st.text() | st.from_regex(r"(https?://|[a-z.]+:)[!-~]*", fullmatch=True))
def test_a_uri_is_read_in_its_canonical_spelling_as_in_its_own(text: str) -> None:
    try:
        uri = Uri.parse(text)
    except InvalidUri:
        return
    # Longer only by percent-encoding.
    again = Uri.parse(uri.href, max_length=4 * len(text) + 100)
    assert (again.scheme, again.host, again.port) == (uri.scheme, uri.host, uri.port)
    assert again.href == uri.href
