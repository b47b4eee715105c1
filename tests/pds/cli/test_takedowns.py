"""`pds record` and `pds blob`: what is hidden, and the way back, beside the server and on files."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from pds.cli import main
from tests.pds.cli.conftest import Furnished, OperatedServer, Operator

UNKNOWN = "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"


@pytest.fixture(scope="module")
def furnished_beside(running: OperatedServer) -> Furnished:
    """Of the server that runs."""
    return running.furnish("hidden")


@pytest.fixture
def furnished(operator: Operator, furnished_beside: Furnished) -> Furnished:
    """The account that has a record and a blob."""
    if operator.environ == {}:
        return furnished_beside
    assert operator.server.furnished is not None
    return operator.server.furnished


def bytes_of(operator: Operator, furnished: Furnished, *, hidden: bool) -> Path:
    place = operator.data / "blobs" / ("quarantine" if hidden else "")
    return place / furnished.did / furnished.blob


def status_of(operator: Operator, path: str) -> int:
    try:
        with urlopen(f"{operator.server.server.url}/xrpc/{path}", timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as exc:
        return exc.code


def test_a_record_is_taken_down_and_put_back(operator: Operator, furnished: Furnished) -> None:
    events = operator.events_of(furnished.did)
    told = operator.run("record", "takedown", furnished.uri, "--ref", "report 17")
    assert told == f"{furnished.uri} is taken down.\n"
    is_served = f"com.atproto.repo.getRecord?repo={furnished.did}&collection=com.example.note"
    if operator.environ == {}:
        assert status_of(operator, f"{is_served}&rkey=one") == 400
    # By the handle, too, and with the other name of the option.
    by_handle = furnished.uri.replace(furnished.did, operator.show(furnished.did)["handle"])
    again = operator.run("record", "takedown", by_handle, "--reason", "report 18")
    assert again == f"{furnished.uri} was already taken down. The first reason is kept: report 17\n"
    back = {"uri": furnished.uri, "cid": furnished.cid, "takedownRef": None}
    assert operator.run_json("record", "untakedown", by_handle) == back
    if operator.environ == {}:
        assert status_of(operator, f"{is_served}&rkey=one") == 200
    down = operator.run_json("record", "takedown", furnished.uri)
    assert down["takedownRef"].endswith("Z")
    assert operator.run("record", "untakedown", furnished.uri) == (
        f"{furnished.uri} is no longer taken down.\n"
    )
    assert operator.events_of(furnished.did) == events


def test_a_blob_is_taken_down_and_put_back(operator: Operator, furnished: Furnished) -> None:
    handle = operator.show(furnished.did)["handle"]
    name = f"The blob {furnished.blob} of {handle}"
    place = f"com.atproto.sync.getBlob?did={furnished.did}&cid={furnished.blob}"
    told = operator.run("blob", "takedown", handle, furnished.blob, "--ref", "report 17")
    assert told == f"{name} is taken down.\n"
    assert bytes_of(operator, furnished, hidden=True).read_bytes() == b"a picture"
    assert not bytes_of(operator, furnished, hidden=False).exists()
    if operator.environ == {}:
        assert status_of(operator, place) == 400
    email = handle.replace(".test", "@example.com")
    again = operator.run_json("blob", "takedown", email, furnished.blob, "--ref", "report 18")
    assert again == {"did": furnished.did, "cid": furnished.blob, "takedownRef": "report 17"}
    back = operator.run("blob", "untakedown", furnished.did, furnished.blob)
    assert back == f"{name} is no longer taken down.\n"
    assert bytes_of(operator, furnished, hidden=False).read_bytes() == b"a picture"
    if operator.environ == {}:
        assert status_of(operator, place) == 200
    # Once more harms nothing.
    back_again = operator.run_json("blob", "untakedown", furnished.did, furnished.blob)
    assert back_again["takedownRef"] is None


def test_what_is_not_there_is_not_taken_down(operator: Operator, furnished: Furnished) -> None:
    other = furnished.uri.replace("/one", "/two")
    for command in ("takedown", "untakedown"):
        assert f"Could not locate record: {other}" in operator.refuse("record", command, other)
        message = operator.refuse("blob", command, furnished.did, UNKNOWN)
        assert f"Could not find blob: {UNKNOWN}" in message
        stranger = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/com.example.note/one"
        assert "There is no account did:plc:aaaa" in operator.refuse("record", command, stranger)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("record", "takedown", "alice.test"), "Give at://ACCOUNT/COLLECTION/RKEY"),
        (("record", "takedown", "at://alice.test/com.example.note"), "names no record"),
        (("blob", "takedown", "alice.test", "picture"), "CID"),
    ],
)
def test_what_names_nothing_is_a_usage_error(words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(main, words, prog_name="pds")
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_second_takedown_of_an_account_keeps_the_first_reason(operator: Operator) -> None:
    did = operator.create("twicehidden")["did"]
    operator.run("account", "takedown", did, "--ref", "report 17")
    told = operator.run("account", "takedown", did, "--ref", "report 18")
    assert told == (
        f"twicehidden.test ({did}) was already taken down. The first reason is kept: report 17\n"
    )
    assert operator.show(did)["takedownRef"] == "report 17"
    operator.run("account", "untakedown", did)


def test_accounts_are_found_by_their_address(operator: Operator) -> None:
    """Every command that is about an account takes a handle, a DID or an email address."""
    did = operator.create("addressed")["did"]
    address = "Addressed@Example.com"
    assert operator.show(address)["did"] == did
    for words in (
        ("quota", address),
        ("deactivate", address),
        ("activate", address),
        ("takedown", address),
        ("untakedown", address),
        ("reset-password", address),
        ("update-handle", address, "addressed2.test"),
        ("update-email", address, "addressed2@example.com"),
    ):
        assert operator.run_json("account", *words)["did"] == did, words
    address = "addressed2@example.com"
    (code,) = operator.run_lines("invite", "create", "--for", address)
    disabled = operator.run_json("invite", "disable", "--of", address)
    assert disabled == {"disabled": [code["code"]]}
    assert "There is no account nobody@example.com" in operator.refuse(
        "account", "show", "nobody@example.com"
    )
    gone = json.loads(operator.run("account", "delete", address, "--yes", "--json"))
    assert gone["did"] == did
