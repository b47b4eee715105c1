"""Client ids: which texts name a client. The vectors were compared with the reference PDS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.oauth.clients.client_id import (
    LOOPBACK_REDIRECT_URIS,
    MAX_LENGTH,
    DiscoverableClientId,
    LoopbackClientId,
    parse_client_id,
)
from pds.oauth.errors import InvalidClientId, InvalidClientMetadata

LOOPBACK = [
    ("http://localhost", "atproto", LOOPBACK_REDIRECT_URIS),
    ("http://localhost/", "atproto", LOOPBACK_REDIRECT_URIS),
    ("http://localhost?", "atproto", LOOPBACK_REDIRECT_URIS),
    ("http://localhost/?scope=atproto", "atproto", LOOPBACK_REDIRECT_URIS),
    (
        "http://localhost?scope=atproto%20transition%3Ageneric",
        "atproto transition:generic",
        LOOPBACK_REDIRECT_URIS,
    ),
    (
        "http://localhost?scope=atproto+repo:*?action=create",
        "atproto repo:*?action=create",
        LOOPBACK_REDIRECT_URIS,
    ),
    ("http://localhost?&&scope=atproto", "atproto", LOOPBACK_REDIRECT_URIS),
    (
        "http://localhost?redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb",
        "atproto",
        ("http://127.0.0.1:8080/cb",),
    ),
    (
        "http://localhost?redirect_uri=http://127.0.0.1/a&redirect_uri=http://[::1]/b",
        "atproto",
        ("http://127.0.0.1/a", "http://[::1]/b"),
    ),
]

DISCOVERABLE = [
    "https://app.bsky.app/client-metadata.json",
    "https://app.bsky.app/a?b=c",
    "https://app.bsky.app/%41",
    "https://xn--exmple-cua.com/a",
    "https://app.bsky.app:8443/a",
]

REFUSED = [
    ("", "Invalid client ID"),
    ("did:plc:abc", "Invalid client ID"),
    ("foo", "Invalid client ID"),
    ("HTTP://localhost", "Invalid client ID"),
    ("http://127.0.0.1/", "Invalid client ID"),
    ("http://app.bsky.app/a", "Invalid client ID"),
    ("https:/app.bsky.app/a", "Invalid client ID"),
    ("http://localhost?scope=a&scope=b", 'Duplicate "scope"'),
    ("http://localhost?scope=", "Invalid OAuth scope"),
    ("http://localhost?scope=%20atproto", "Invalid OAuth scope"),
    ("http://localhost?scope=%FF", "valid query string"),
    ("http://localhost?foo=1", 'Unexpected query parameter "foo"'),
    ("http://localhost:80/", "must not contain a path"),
    ("http://localhost/x", "must not contain a path"),
    ("http://localhost//", "must not contain a path"),
    ("http://localhostx", "must not contain a path"),
    ("http://localhost@evil.com/", "must not contain a path"),
    ("http://localhost.evil.com/", "must not contain a path"),
    ("http://localhost#a", "must not contain a hash"),
    ("http://localhost?scope=atproto#a", "must not contain a hash"),
    ("http://localhost?redirect_uri=http://localhost/x", '"localhost" hostname is not allowed'),
    ("http://localhost?redirect_uri=https://127.0.0.1/x", 'must use the "http:"'),
    ("http://localhost?redirect_uri=http://evil.com/x", '"127.0.0.1" or'),
    ("http://localhost?redirect_uri=http://127.0.0.1.evil.com/", '"127.0.0.1" or'),
    ("http://localhost?redirect_uri=com.app:/x", 'must use the "http:"'),
    ("http://localhost?" + "&".join(["redirect_uri=http://127.0.0.1/"] * 33), "query string"),
    ("https://app.bsky.app", "must contain a path"),
    ("https://app.bsky.app/", "must contain a path"),
    ("https://app.bsky.app/a/", "trailing slash"),
    ("https://app.bsky.app/a/../b", "canonical form"),
    ("https://app.bsky.app/a#b", "fragment"),
    ("https://u:p@app.bsky.app/a", "credentials"),
    ("https://app.bsky.app:443/a", "canonical form"),
    ("https://APP.bsky.app/a", "canonical form"),
    ("https://exämple.com/a", "canonical form"),
    ("https://app.bsky.app/ä", "canonical form"),
    ("https://app.bsky.app\\a", "Invalid URL"),
    ("https://app.bsky.app;x/a", "Invalid URL"),
    ("https://app.bsky.app/a b", "Invalid URL"),
    ("https://app.bsky.app/a\n", "Invalid URL"),
    ("https://app.bsky.app:99999/a", "Invalid URL"),
    ("https://127.0.0.1/a", "loopback host"),
    ("https://[::1]/a", "loopback host"),
    ("https://0x7f.1/a", "loopback host"),
    ("https://2130706433/a", "loopback host"),
    ("https://10.1.1.1/a", "IP address"),
    ("https://[2001:db8::1]/a", "IP address"),
    ("https://localhost/a", "loopback host"),
    ("https://foo/a", "two segments"),
    ("https://foo.local/a", ".local"),
    ("https://foo.test/a", "local hostname"),
    ("https://foo.localhost/a", "local hostname"),
    ("https://foo.localhost./a", "local hostname"),
    ("https://foo.invalid/a", "local hostname"),
    ("https://app.bsky.app/" + "a" * MAX_LENGTH, "longer than"),
]


@pytest.mark.parametrize(("text", "scope", "redirect_uris"), LOOPBACK)
def test_a_loopback_client_is_described_by_its_id(
    text: str, scope: str, redirect_uris: tuple[str, ...]
) -> None:
    assert parse_client_id(text) == LoopbackClientId(text, scope, redirect_uris)


@pytest.mark.parametrize("text", DISCOVERABLE)
def test_a_discoverable_client_is_named_by_a_url_in_its_canonical_form(text: str) -> None:
    client_id = parse_client_id(text)
    assert isinstance(client_id, DiscoverableClientId)
    assert client_id.text == client_id.url.href == text


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_other_texts_are_no_client_ids(text: str, reason: str) -> None:
    with pytest.raises((InvalidClientId, InvalidClientMetadata)) as refused:
        parse_client_id(text)
    assert reason in refused.value.description


@given(
    st.one_of(st.text(), st.text().map("http://localhost{}".format), st.from_regex(r"https://.*"))
)
def test_any_text_is_a_client_id_of_one_form_or_refused(text: str) -> None:
    try:
        client_id = parse_client_id(text)
    except (InvalidClientId, InvalidClientMetadata):
        return
    assert client_id.text == text
