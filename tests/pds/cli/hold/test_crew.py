"""`pds hold crew`: members listed, added, changed and removed, on the files of a stopped hold."""

from __future__ import annotations

from typing import Final

import pytest

from tests.pds.cli.hold.conftest import HoldOperator
from tests.pds.hold.conftest import OWNER

MEMBER: Final = "did:plc:memberaaaaaaaaaaaaaaaaaa"
OTHER: Final = "did:plc:otheraaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def operator(operator: HoldOperator) -> HoldOperator:
    """The operator of a hold with tiers."""
    with operator.env_file.open("a") as file:
        file.write("PDS_HOLD_TIERS=deckhand=5GB,bosun=50GB\n")
    return operator


def test_a_member_is_added_changed_and_removed(operator: HoldOperator) -> None:
    told = operator.run("crew", "add", MEMBER, "--tier", "bosun")
    assert told.strip() == (
        f"{MEMBER} is a member of the crew now: permissions read,write, role member, tier bosun."
    )
    changed = operator.run_json("crew", "add", MEMBER, "--permissions", "read, admin")
    assert changed["change"] == "updated"
    assert (changed["permissions"], changed["tier"]) == (["blob:read", "crew:admin"], "bosun")
    assert "already" in operator.run("crew", "add", MEMBER)

    assert operator.run_json("crew", "remove", MEMBER, "--yes") == {
        "did": MEMBER,
        "status": "removed",
    }
    assert [each["did"] for each in operator.run_lines("crew", "list")] == [OWNER]


def test_the_list_is_filtered(operator: HoldOperator) -> None:
    operator.run("crew", "add", MEMBER, "--permissions", "read", "--role", "reader")
    operator.run("crew", "add", OTHER, "--tier", "bosun")

    def listed(*args: str) -> set[str]:
        return {each["did"] for each in operator.run_lines("crew", "list", *args)}

    assert listed() == {OWNER, MEMBER, OTHER}
    assert listed("--permission", "write") == {OWNER, OTHER}
    assert listed("--permission", "admin") == {OWNER}
    assert listed("--tier", "bosun") == {OTHER}
    assert listed("--role", "reader") == {MEMBER}
    assert len(operator.run_lines("crew", "list", "--limit", "2")) == 2
    table = operator.run("crew", "list")
    assert "3 members" in table
    assert "read,write,admin" in table


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("add", MEMBER, "--permissions", "push"), "must be among read, write, admin"),
        (("add", MEMBER, "--permissions", ""), "must be among read, write, admin"),
        (("add", "no one"), "no one is neither a DID nor a handle"),
        (("add", MEMBER, "--role", "x" * 33), "role"),
        (("add", MEMBER, "--tier", "bosn"), "there is no tier 'bosn'"),
        (("remove", MEMBER, "--yes"), "is not a member of the crew"),
        (("remove", OWNER, "--yes"), "is the captain, who stays in the crew"),
        (("remove", OWNER), "there is no terminal to ask on"),
    ],
)
def test_what_cannot_be_done_is_told(
    operator: HoldOperator, args: tuple[str, ...], told: str
) -> None:
    assert told in operator.refuse("crew", *args)
    assert [each["did"] for each in operator.run_lines("crew", "list")] == [OWNER]


def test_a_server_that_is_no_hold_is_told(operator: HoldOperator) -> None:
    message = operator.refuse("crew", "list", PDS_HOLD_ENABLED="false", PDS_HOLD_ONLY="false")
    assert "PDS_HOLD_ENABLED is not true" in message
    assert "Try: pds hold init" in message
