from __future__ import annotations

import pytest

from identity.share import domain_of


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("a.b.c.Example.COM.", "example.com"),
        ("localhost", "localhost"),
        ("alice.co.uk", "alice.co.uk"),
        ("www.alice.co.uk", "alice.co.uk"),
        ("alice.bsky.social", "bsky.social"),
        ("www.example.de", "example.de"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_names_of_one_owner_have_one_domain(host: str, domain: str) -> None:
    assert domain_of(host) == domain
