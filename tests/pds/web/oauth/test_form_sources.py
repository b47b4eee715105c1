"""The policy of a page lets its forms end at the client, and nowhere else."""

from __future__ import annotations

import pytest

from pds.web.oauth.form_sources import form_source


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("https://app.bsky.app/cb?x=1", "https://app.bsky.app"),
        ("https://APP.bsky.app:443/cb", "https://app.bsky.app"),
        ("https://%61pp.bsky.app/cb", "https://app.bsky.app"),
        ("https:///app.bsky.app/cb", "https://app.bsky.app"),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/cb", "http:"),
        ("app.bsky.app:/cb", "app.bsky.app:"),
    ],
)
def test_the_source_is_the_origin_as_browsers_know_it(uri: str, source: str) -> None:
    assert form_source(uri) == source
