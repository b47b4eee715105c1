"""Permission sets at both servers: found alike, kept alike, and each reads what the other kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pds.dev.plc_store import PlcStore
from tests.conformance.client import Client, Reply
from tests.pds.oauth.permission_sets.lexicons import COLLECTION, NSID, permission_set
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

BROKEN = "com.example.calendar.broken"
OTHER = "com.example.calendar.other"
UNKNOWN = "com.example.calendar.unknown"
RECORDS = {
    NSID: permission_set(**{"title:lang": {"de": "Kalender"}}),
    BROKEN: permission_set(BROKEN, permissions=[{"type": "permission", "resource": ""}]),
    OTHER: {"$type": COLLECTION, "lexicon": 1, "id": OTHER, "defs": {"main": {"type": "token"}}},
}


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a server whose data directory is empty."""
    (tmp_path / "data" / "blobs").mkdir(parents=True)
    PlcStore(tmp_path / "plc.sqlite").close()
    with plc.directory_of(tmp_path / "plc.sqlite") as plc_url:
        yield data.environment(tmp_path / "data") | {"PDS_DID_PLC_URL": plc_url}


@contextmanager
def running(start: Any, environment: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    server: ServerProcess = start(environment, port=free_port(), log_file=tmp_path / "server.log")
    try:
        yield Client(server.url)
    finally:
        server.stop()


def publish(client: Client) -> str:
    """Make an account that has the Lexicons; return its DID."""
    account = {"handle": "alice.test", "email": "alice@example.com", "password": "alice-password"}
    made = client.call("com.atproto.server.createAccount", account)
    auth = {"Authorization": f"Bearer {made['accessJwt']}"}
    for nsid, record in RECORDS.items():
        body = {"repo": made["did"], "collection": COLLECTION, "rkey": nsid, "record": record}
        client.call("com.atproto.repo.createRecord", {**body, "validate": False}, auth)
    return str(made["did"])


def ask_for(client: Client, nsid: str) -> Reply:
    """Begin an authorization request that includes a permission set."""
    scope = f"atproto include:{nsid}"
    client_id = f"http://localhost?{urlencode({'scope': scope})}"
    form = {
        "client_id": client_id,
        "redirect_uri": "http://127.0.0.1/",
        "response_type": "code",
        "scope": scope,
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form).encode()
    return client.request("POST", "/oauth/par", headers=headers, body=body)


def rows(tmp_path: Path) -> dict[str, tuple[Any, ...]]:
    """The table of Lexicons: which times are there, the URI and the document, by NSID."""
    with closing(sqlite3.connect(tmp_path / "data" / "account.sqlite", timeout=10)) as db:
        found = db.execute("SELECT * FROM lexicon").fetchall()
    return {
        nsid: (
            len(created),
            len(updated),
            succeeded and len(succeeded),
            uri,
            json.loads(document or "null"),
        )
        for nsid, created, updated, succeeded, uri, document in found
    }


def test_both_servers_find_and_keep_permission_sets_alike(
    reference: Reference, environment: dict[str, str], tmp_path: Path
) -> None:
    with running(reference.serve, environment, tmp_path) as client:
        environment["PDS_LEXICON_AUTHORITY_DID"] = publish(client)
    answers, kept = [], []
    for start in (reference.serve, serve):
        with running(start, environment, tmp_path) as client:
            replies = [ask_for(client, nsid) for nsid in (NSID, BROKEN, OTHER, UNKNOWN)]
        answers.append([(reply.status, reply.json.get("error")) for reply in replies])
        kept.append(rows(tmp_path))
        with closing(sqlite3.connect(tmp_path / "data" / "account.sqlite")) as db, db:
            db.execute("DELETE FROM lexicon")
    assert answers[0] == [(201, None), *[(400, "invalid_scope")] * 3]
    assert answers[1] == answers[0]
    assert kept[1] == kept[0]


@pytest.mark.parametrize("first_is_ours", [True, False])
def test_each_server_uses_the_set_that_the_other_kept(
    reference: Reference, environment: dict[str, str], tmp_path: Path, first_is_ours: bool
) -> None:
    first, second = (serve, reference.serve) if first_is_ours else (reference.serve, serve)
    with running(first, environment, tmp_path) as client:
        did = publish(client)
    with running(first, environment | {"PDS_LEXICON_AUTHORITY_DID": did}, tmp_path) as client:
        assert ask_for(client, NSID).status == 201
    # Nobody else has such a Lexicon: what is found is what was kept.
    nobody = environment | {"PDS_LEXICON_AUTHORITY_DID": "did:web:nobody.invalid"}
    with running(second, nobody, tmp_path) as client:
        assert ask_for(client, NSID).status == 201
        assert ask_for(client, UNKNOWN).status == 400
