"""OAuth sessions at both servers: what each scope opens, and how requests are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pds.dev.plc_store import PlcStore
from tests.conformance.client import Client, Reply
from tests.conformance.oauth_session import OAuthSession
from tests.pds.upstream import APPVIEW_DID
from tests.pds.xrpc.test_oauth_demands import CASES, MOD_DID, verb
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

SESSION = "com.atproto.server.getSession"
JWT_SECRET = "a secret of thirty-two characters"


@pytest.fixture(scope="module")
def sessions(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session at our server and one at the reference, of new accounts."""
    home = tmp_path_factory.mktemp("servers")
    PlcStore(home / "plc.sqlite").close()
    started: list[ServerProcess] = []
    with plc.directory_of(home / "plc.sqlite") as plc_url:
        try:
            for start in (serve, reference.serve):
                directory = home / f"data-{len(started)}"
                (directory / "blobs").mkdir(parents=True)
                env = data.environment(directory) | {
                    "PDS_DID_PLC_URL": plc_url,
                    "PDS_JWT_SECRET": JWT_SECRET,
                    "PDS_BSKY_APP_VIEW_DID": APPVIEW_DID,
                    "PDS_MOD_SERVICE_URL": "https://mod.invalid",
                    "PDS_MOD_SERVICE_DID": MOD_DID,
                }
                log_file = directory.with_suffix(".log")
                started.append(start(env, port=free_port(), log_file=log_file))
            paths = (home / f"data-{index}" / "account.sqlite" for index in range(2))
            yield tuple(_session(one, path) for one, path in zip(started, paths, strict=True))
        finally:
            for server in started:
                server.stop()


def _session(server: ServerProcess, database: Path) -> OAuthSession:
    client = Client(server.url)
    account = {"handle": "alice.test", "email": "alice@example.com", "password": "alice-password"}
    did = client.call("com.atproto.server.createAccount", account)["did"]
    service_did = client.get("com.atproto.server.describeServer").json["did"]
    return OAuthSession(client, database, JWT_SECRET, service_did, did)


def call(session: OAuthSession, nsid: str) -> Reply:
    case = CASES[nsid]
    headers = {} if case.type is None else {"Content-Type": case.type}
    body = case.data
    if case.json is not None:
        headers = {"Content-Type": "application/json"}
        full = {"repo": session.did, **case.json} if ".repo." in nsid else case.json
        body = json.dumps(full).encode()
    return session.request(verb(nsid), nsid, params=case.params, headers=headers, body=body)


def outcome(session: OAuthSession, reply: Reply) -> tuple[int, Any]:
    """Status and JSON, without what differs from account to account."""
    text = json.dumps(reply.json).replace(session.did, "DID")
    return reply.status, json.loads(text)


def test_both_servers_refuse_what_the_scopes_do_not_allow(sessions: Any) -> None:
    for nsid, case in CASES.items():
        for granted in range(max(1, len(case.needs))):
            answers = []
            for session in sessions:
                session.grant(" ".join(("atproto", *case.needs[:granted])))
                session.request("GET", SESSION)
                answers.append(outcome(session, call(session, nsid)))
            ours, theirs = answers
            if theirs[0] in (401, 403):
                assert (nsid, ours) == (nsid, theirs)
            else:
                assert not case.needs, (nsid, theirs)
                assert ours[0] not in (401, 403), (nsid, ours)


def test_both_servers_let_through_what_the_scopes_allow(sessions: Any) -> None:
    for nsid, case in CASES.items():
        if not case.refused and not nsid.endswith(".deactivateAccount"):
            for session in sessions:
                session.grant(" ".join(("atproto", *case.needs)))
                session.request("GET", SESSION)
                reply = call(session, nsid)
                assert reply.status not in (401, 403), (nsid, reply.body)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"nonce": None},
        {"nonce": "old"},
        {"htm": "POST"},
        {"htu": "https://other.example.com/"},
        {"ath": "x"},
        {"jti": None},
        {"jti": ""},
        {"iat": 1},
    ],
    ids=str,
)
def test_both_servers_challenge_alike(sessions: Any, claims: dict[str, Any]) -> None:
    answers = []
    for session in sessions:
        session.grant("atproto")
        session.request("GET", SESSION)
        reply = session.request("GET", SESSION, **claims)
        challenge = reply.headers.get("www-authenticate")
        answers.append((*outcome(session, reply), challenge, "dpop-nonce" in reply.headers))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("form", ["DPoP {0}", "Bearer {0}", "dpop {0}", "DPoP x", "DPoP a.b.c"])
def test_both_servers_refuse_headers_without_a_proof_alike(sessions: Any, form: str) -> None:
    answers = []
    for session in sessions:
        session.grant("atproto")
        headers = {"Authorization": form.format(session.token)}
        reply = session.client.get(SESSION, headers)
        answers.append((reply.status, reply.json, reply.headers.get("www-authenticate")))
    assert answers[0] == answers[1]
