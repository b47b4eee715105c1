"""Commands about a server behind an entryway: what that owns is refused, with where to do it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from repo.keys import K256PrivateKey
from tests.pds.cli.conftest import Operator

URL = "https://entryway.example.com"
KEY = K256PrivateKey.from_bytes(b"\x21" * 32)


@pytest.fixture
def behind(files: Operator) -> Operator:
    """The operator of a server that does not run and stands behind an entryway."""
    return replace(
        files,
        environ={
            **files.environ,
            "PDS_ENTRYWAY_URL": URL,
            "PDS_ENTRYWAY_DID": "did:web:entryway.example.com",
            "PDS_ENTRYWAY_JWT_VERIFY_KEY_K256_PUBLIC_KEY_HEX": KEY.public.point.hex(),
            "PDS_ENTRYWAY_PLC_ROTATION_KEY": KEY.did_key,
        },
    )


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("account", "create", "new@example.com", "newcomer.test"), "logins"),
        (("invite", "create"), "invite codes"),
        (("key", "rotate", "alice.test"), "rotation keys"),
        (("key", "rotate-plc", "--old-key-file", "old.key"), "rotation keys"),
        (("invite", "disable", "localhost-aaaaa-aaaaa"), "invite codes"),
    ],
)
def test_what_is_made_at_the_entryway_is_refused_here(
    behind: Operator, command: tuple[str, ...], what: str
) -> None:
    message = behind.refuse(*command)
    assert f"the entryway {URL}, which has the {what}" in message
    assert "Create and change them there" in message


@pytest.mark.parametrize(
    "command",
    [
        ("account", "reset-password", "alice.test"),
        ("account", "update-email", "alice.test", "new@example.com"),
    ],
)
def test_what_the_entryway_is_asked_for_needs_a_server(
    behind: Operator, command: tuple[str, ...]
) -> None:
    before = behind.show("alice.test")
    message = behind.refuse(*command)
    assert URL in message
    assert "Start the server and repeat the command" in message
    assert behind.show("alice.test") == before


def test_a_handle_follows_the_did(files: Operator, behind: Operator) -> None:
    carl = files.create("carl")["did"]
    message = behind.refuse("account", "update-handle", carl, "carlo.test")
    assert "Handle does not match DID doc" in message
    assert behind.show(carl)["handle"] == "carl.test"
    behind.run("account", "update-handle", carl, "carl.test")
    assert behind.show(carl)["handle"] == "carl.test"
