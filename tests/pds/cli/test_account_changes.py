"""`pds account`: looking at one account and changing it, beside the server and on its files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from database.opening import open_database
from tests.pds.cli.conftest import Operator
from tests.processes import clean_environment

UNKNOWN = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


def test_an_account_is_shown_by_handle_or_did(operator: Operator) -> None:
    made = operator.create("shown")
    shown = operator.show("shown.test")
    assert (shown["handle"], shown["did"]) == ("shown.test", made["did"])
    for name in ("Shown.TEST", made["did"]):
        assert operator.show(name) == shown
    assert shown["email"] == "shown@example.com"
    assert shown["status"] == "active"
    assert shown["emailConfirmedAt"] is None
    assert shown["invites"] == shown["appPasswords"] == []
    assert shown["invitedBy"] is None
    assert shown["head"].startswith("bafy")
    assert operator.run_fields("account", "show", "shown.test") == {
        "Handle": "shown.test",
        "DID": made["did"],
        "Status": "active",
        "Email": "shown@example.com (not confirmed)",
        "Created": shown["createdAt"],
        "Rev": shown["rev"],
        "Head": shown["head"],
        "App passwords": "none",
    }


def test_an_account_is_shown_with_its_states_and_codes(operator: Operator) -> None:
    operator.create("states")
    code = operator.run("invite", "create", "--uses", "3", "--for", "states.test").strip()
    operator.run("account", "deactivate", "states.test")
    operator.run("account", "takedown", "states.test", "--ref", "case 5")
    shown = operator.show("states.test")
    assert (shown["status"], shown["takedownRef"]) == ("takendown", "case 5")
    assert shown["deactivatedAt"].endswith("Z")
    assert [one["code"] for one in shown["invites"]] == [code]
    told = operator.run_fields("account", "show", "states.test")
    assert told["Taken down"] == "case 5"
    assert told["Deactivated"] == shown["deactivatedAt"]
    assert told["Invite code"] == f"{code} (0 of 3 used)"


def test_a_password_is_reset_to_a_generated_or_a_given_one(operator: Operator) -> None:
    made = operator.create("forgetful")
    reset = operator.run_json("account", "reset-password", "forgetful.test")
    assert (reset["handle"], reset["did"]) == ("forgetful.test", made["did"])
    assert len(reset["password"]) == 24
    assert operator.knows_password(made["did"], reset["password"])
    assert not operator.knows_password(made["did"], made["password"])
    told = operator.run("account", "reset-password", made["did"], "--password", "my choice")
    # What the operator chose need not be shown.
    assert told == f"handle: forgetful.test\ndid:    {made['did']}\n"
    assert operator.knows_password(made["did"], "my choice")


@pytest.mark.parametrize("length", [0, 1, 7, 257])
def test_a_password_that_is_too_short_or_too_long_is_refused(
    operator: Operator, length: int
) -> None:
    made = operator.create(f"secured{length}")
    given = ("--password", "x" * length)
    reset = operator.refuse("account", "reset-password", made["did"], *given)
    name = f"unsecured{length}"
    create = operator.refuse("account", "create", f"{name}@example.com", f"{name}.test", *given)
    assert "Invalid password length. Give 8 to 256 characters" in reset
    assert "Invalid password length. Give 8 to 256 characters" in create
    assert operator.knows_password(made["did"], made["password"])


def test_a_handle_is_changed_also_to_a_reserved_one(operator: Operator) -> None:
    made = operator.create("renamed")
    told = operator.run("account", "update-handle", "renamed.test", "Support.test")
    assert told == f"renamed.test ({made['did']}) is now support.test.\n"
    changed = operator.run_json("account", "update-handle", made["did"], "renamed.test")
    assert (changed["handle"], changed["did"]) == ("renamed.test", made["did"])
    assert operator.events_of(made["did"])[-2:] == ["identity", "identity"]


def test_a_new_account_gets_a_reserved_handle_in_a_second_step(operator: Operator) -> None:
    refused = operator.refuse("account", "create", "official@example.com", "Security.test")
    assert "Reserved handle: Security.test." in refused
    assert "`pds account update-handle`" in refused
    operator.create("official1")
    changed = operator.run_json("account", "update-handle", "official1.test", "security.test")
    assert changed["handle"] == "security.test"


def test_handles_that_cannot_be_had_are_refused(operator: Operator) -> None:
    made = operator.create("keeps")
    operator.create("has")
    before = operator.events_of(made["did"])
    for handle, message in (
        ("has.test", "Handle already taken: has.test"),
        ("ab.test", "Handle too short"),
        ("nonsense", "handle"),
        ("keeps.example.onion", "Handle TLD is invalid or disallowed"),
    ):
        assert message in operator.refuse("account", "update-handle", "keeps.test", handle)
    assert operator.show("keeps.test")["did"] == made["did"]
    assert operator.events_of(made["did"]) == before


def test_lost_second_factors_are_removed(operator: Operator) -> None:
    made = operator.create("lost")
    with closing(open_database(operator.data / "account.sqlite")) as db:
        db.run("INSERT INTO holdfast_email_factor VALUES (?, 1, '2026-01-01')", (made["did"],))
    told = operator.run_json("account", "second-factor", "reset", "lost.test", "--yes")
    assert (told["did"], told["removed"]["mailedCodes"]) == (made["did"], True)
    again = operator.run("account", "second-factor", "reset", "lost.test", "--yes")
    assert again == f"lost.test ({made['did']}) has no second factor any longer.\n"
    refused = operator.refuse("account", "second-factor", "reset", UNKNOWN, "--yes")
    assert UNKNOWN in refused


def test_an_address_is_changed(operator: Operator) -> None:
    made = operator.create("mailed")
    told = operator.run("account", "update-email", "mailed.test", "New@Example.com")
    assert told == f"The address of mailed.test ({made['did']}) is now new@example.com.\n"
    changed = operator.run_json("account", "update-email", made["did"], "mailed@example.com")
    assert changed["email"] == "mailed@example.com"
    operator.create("other")
    taken = operator.refuse("account", "update-email", "mailed.test", "other@example.com")
    assert "already in use" in taken
    assert "not supported" in operator.refuse("account", "update-email", "mailed.test", "nobody")
    assert operator.show("mailed.test")["email"] == "mailed@example.com"


def test_an_account_is_deactivated_and_activated(operator: Operator) -> None:
    did = operator.create("resting")["did"]
    told = operator.run("account", "deactivate", "resting.test")
    assert told == f"resting.test ({did}) is deactivated.\n"
    assert operator.show(did)["status"] == "deactivated"
    assert operator.events_of(did)[-1] == "account"
    assert operator.run_json("account", "activate", "resting.test")["status"] == "active"
    assert operator.events_of(did)[-3:] == ["account", "identity", "sync"]


def test_an_account_is_taken_down_and_put_back(operator: Operator) -> None:
    did = operator.create("hidden1")["did"]
    taken = operator.run_json("account", "takedown", "hidden1.test")
    assert taken["status"] == "takendown"
    # Without a reference the time stands for one.
    assert operator.show(did)["takedownRef"].endswith("Z")
    refused = operator.refuse("account", "activate", "hidden1.test")
    assert "pds account untakedown" in refused
    # What is hidden is found by its handle all the same.
    told = operator.run("account", "untakedown", "hidden1.test")
    assert told == f"hidden1.test ({did}) is no longer taken down.\n"
    assert operator.show(did)["status"] == "active"
    assert operator.events_of(did)[-2:] == ["account", "account"]


def test_an_account_is_deleted_by_who_is_sure(operator: Operator) -> None:
    did = operator.create("leaving")["did"]
    refused = operator.refuse("account", "delete", "leaving.test")
    assert "--yes" in refused
    assert operator.show(did)["status"] == "active"
    told = operator.run("account", "delete", "leaving.test", "--yes")
    assert told == f"leaving.test ({did}) is deleted.\n"
    assert f"no account {did}" in operator.refuse("account", "show", did)
    assert operator.events_of(did) == ["account"]
    assert not list(operator.data.glob(f"actors/??/{did}"))
    again = operator.create("leaving")
    deleted = operator.run_json("account", "delete", again["did"], "--yes")
    assert deleted == {"did": again["did"], "handle": "leaving.test", "status": "deleted"}


@pytest.mark.parametrize(
    "words",
    [
        ("show", "{}"),
        ("reset-password", "{}"),
        ("update-handle", "{}", "new.test"),
        ("update-email", "{}", "new@example.com"),
        ("deactivate", "{}"),
        ("activate", "{}"),
        ("takedown", "{}"),
        ("untakedown", "{}"),
        ("delete", "{}", "--yes"),
    ],
    ids=lambda words: words[0],
)
def test_an_account_that_is_not_there_is_told(operator: Operator, words: tuple[str, ...]) -> None:
    for name in (UNKNOWN, "nobody.test"):
        message = operator.refuse("account", *(word.format(name) for word in words))
        assert f"There is no account {name} on this server." in message
        assert "\nTry: pds account list --env-file " in message


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
def test_a_person_is_asked_before_an_account_is_deleted(
    files: Operator, answer: str, status: int
) -> None:
    name = f"asked-{answer}"
    did = files.create(name)["did"]
    with terminal(answer) as stdin:
        done = subprocess.run(  # noqa: S603 (our own program)
            [
                *(sys.executable, "-m", "pds", "account", "delete", did),
                *("--env-file", str(files.server.server.env_file)),
            ],
            env=clean_environment(files.environ),
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == status, done.stderr
    question = f"Delete {name}.test ({did}) with all it has? This cannot be undone. [y/N]"
    assert question in done.stdout + done.stderr
    dids = [one["did"] for one in files.run_lines("account", "list")]
    assert (did in dids) == (answer == "n")


@contextmanager
def terminal(answer: str) -> Iterator[int]:
    """A terminal at which somebody types a line; gives the side to read from."""
    master, slave = os.openpty()
    try:
        os.write(master, f"{answer}\n".encode())
        yield slave
    finally:
        os.close(slave)
        os.close(master)
