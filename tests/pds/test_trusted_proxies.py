"""Proxies that are believed: those near this machine."""

from __future__ import annotations

import pytest

from pds.trusted_proxies import is_trusted_proxy


@pytest.mark.parametrize(
    ("address", "is_trusted"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("169.254.10.1", True),
        ("fe80::1%eth0", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("172.31.255.255", True),
        ("192.168.1.1", True),
        ("fd00::1", True),
        ("172.32.0.1", False),
        ("100.64.0.1", False),
        ("203.0.113.7", False),
        ("::ffff:203.0.113.7", False),
        ("2001:db8::7", False),
        ("8.8.8.8", False),
        ("", False),
        (None, False),
        ("somewhere", False),
    ],
)
def test_neighbours_are_believed(address: str | None, is_trusted: bool) -> None:
    assert is_trusted_proxy(address) == is_trusted
