"""com.atproto.moderation.createReport: reports go to the service that takes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.proxy.conftest import MOD_DID
from tests.pds.upstream import Hang, Upstream, register_service, run_upstream, slam, via

REPORT = "com.atproto.moderation.createReport"
REPORT_DID = "did:web:reports.example.com"


def report_of(account: Account, **more: Any) -> dict[str, Any]:
    return {
        "reasonType": "com.atproto.moderation.defs#reasonSpam",
        "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": account.did},
        "reason": "knöts",
        **more,
    }


async def report(
    pds: Pds, account: Account, headers: dict[str, str] | None = None, **more: Any
) -> Reply:
    return await pds.post(REPORT, report_of(account, **more), {**account.auth, **(headers or {})})


async def test_a_report_reaches_the_moderation_service(
    pds: Pds, alice: Account, mod_service: Upstream
) -> None:
    mod_service.answers_json({"id": 7, "reasonType": "x"})
    reply = await report(pds, alice, {"Accept-Language": "de", "X-Atproto-Thing": "1"}, more=[1])
    assert (reply.status, reply.json) == (200, {"id": 7, "reasonType": "x"})
    received = mod_service.last
    assert (received.method, received.path) == ("POST", f"/xrpc/{REPORT}")
    assert received.headers["Content-Type"] == "application/json"
    assert json.loads(received.body) == report_of(alice, more=[1])
    claims = received.token_of(pds, alice)
    assert (claims["aud"], claims["lxm"]) == (MOD_DID, REPORT)


async def test_a_report_goes_where_the_client_says(
    pds: Pds, alice: Account, mod_service: Upstream, other: Upstream
) -> None:
    other.answers_json({"id": 8})
    did = register_service(pds, {"atproto_labeler": other.url})
    assert (await report(pds, alice, via(did, "atproto_labeler"))).json == {"id": 8}
    assert other.last.claims["aud"] == did
    bad = await report(pds, alice, {"atproto-proxy": "foo"})
    assert bad.json["message"] == "no service id specified in proxy header"
    assert mod_service.received == []


async def test_an_account_that_is_taken_down_may_appeal(
    pds: Pds, alice: Account, mod_service: Upstream
) -> None:
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    login = await pds.post(
        "com.atproto.server.createSession",
        {"identifier": alice.did, "password": alice.password, "allowTakendown": True},
    )
    auth = {"Authorization": f"Bearer {login.json['accessJwt']}"}
    reply = await pds.post(REPORT, report_of(alice), auth)
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert mod_service.last.token_of(pds, alice)["iss"] == alice.did
    # Anything else is refused to such a session.
    refused = await pds.get("app.bsky.actor.searchActors", auth)
    assert refused.json["message"] == "Bad token scope"


async def test_bad_reports_stay_here(pds: Pds, alice: Account, mod_service: Upstream) -> None:
    assert (await pds.post(REPORT, report_of(alice))).error == (401, "AuthMissing")
    for body in ({}, {"reasonType": "x"}, {"reasonType": "x", "subject": 5}):
        assert (await pds.post(REPORT, body, alice.auth)).error == (400, "InvalidRequest")
    assert mod_service.received == []


async def test_a_refusal_of_the_service_is_relayed(
    pds: Pds, alice: Account, mod_service: Upstream
) -> None:
    refusal = {"error": "AlreadyReported", "message": "We know"}
    for status in (400, 429, 500, 503):
        mod_service.answers_json(refusal, status=status)
        reply = await report(pds, alice)
        assert (reply.status, reply.json) == (502 if status == 500 else status, refusal)


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"{nope"), (200, b"[]"), (200, b""), (204, b""), (302, b"{}")]
)
async def test_an_answer_that_is_none_is_told(
    pds: Pds, alice: Account, mod_service: Upstream, status: int, body: bytes
) -> None:
    mod_service.answers_bytes(body, status=status)
    reply = await report(pds, alice)
    assert reply.error == (502, "InvalidResponse")
    assert reply.json["message"] == "Unable to parse response payload"


class TestWithoutAnAnswer:
    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str]) -> dict[str, str]:
        return {**pds_environ, "PDS_PROXY_HEADERS_TIMEOUT": "100"}

    async def test_a_failure_of_the_network_is_told(
        self, pds: Pds, alice: Account, mod_service: Upstream
    ) -> None:
        for answer in (slam, Hang()):
            mod_service.answer = answer
            reply = await report(pds, alice)
            assert reply.status == 502
            assert reply.json == {
                "error": "InternalServerError",
                "message": "Failed to perform upstream request",
            }


class TestWithAReportService:
    @pytest.fixture
    async def reports(self) -> AsyncIterator[Upstream]:
        async with run_upstream() as upstream:
            yield upstream

    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str], reports: Upstream) -> dict[str, str]:
        return {
            **pds_environ,
            "PDS_REPORT_SERVICE_URL": reports.url,
            "PDS_REPORT_SERVICE_DID": REPORT_DID,
        }

    async def test_reports_go_there(
        self, pds: Pds, alice: Account, mod_service: Upstream, reports: Upstream
    ) -> None:
        assert (await report(pds, alice)).status == 200
        assert reports.last.claims["aud"] == REPORT_DID
        assert mod_service.received == []


class TestWithoutAService:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {}

    async def test_nobody_takes_reports(self, pds: Pds, alice: Account) -> None:
        reply = await report(pds, alice)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == f"No service configured for {REPORT}"
