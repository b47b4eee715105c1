"""Which requests count, what answers tell of it, and who is exempt: on the real methods."""

from __future__ import annotations

from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pds.server.app import RATE_LIMITER
from tests.pds.api.records import NOTE, apply, create, creates, delete, deletes, put, updates
from tests.pds.conftest import Account, Pds, Reply, basic_auth, start_pds
from tests.pds.rate_limits.conftest import Clock, SetLimits, from_ip, told

DESCRIBE = "com.atproto.server.describeServer"
SESSION = "com.atproto.server.getSession"
LOGIN = "com.atproto.server.createSession"
REPO = "com.atproto.sync.getRepo"
UNKNOWN = "com.example.unknown"
NAMES = ("Limit", "Remaining", "Reset", "Policy")


def counts(reply: Reply) -> bool:
    """Whether an answer tells of a limit, which it does if the request was counted."""
    (tells,) = {f"RateLimit-{name}" in reply.headers for name in NAMES}
    return tells


async def call(pds: Pds, nsid: str = DESCRIBE, **headers: str) -> Reply:
    return await pds.get(nsid, {name.replace("_", "-"): value for name, value in headers.items()})


# --- What answers tell


async def test_every_answer_tells_how_many_requests_are_left(
    pds: Pds, clock: Clock, set_limits: SetLimits
) -> None:
    set_limits(all_requests=3)
    first = await call(pds)
    clock.advance(100)
    second = await call(pds)
    for reply, left in ((first, "2"), (second, "1")):
        assert {name: reply.headers[f"RateLimit-{name}"] for name in NAMES} == {
            "Limit": "3",
            "Remaining": left,
            "Reset": "1300",
            "Policy": "3;w=300",
        }
        (exposed,) = reply.headers.getall("Access-Control-Expose-Headers")
        assert exposed.split(", ") == [
            "RateLimit-Limit",
            "RateLimit-Reset",
            "RateLimit-Remaining",
            "RateLimit-Policy",
        ]
        assert "Retry-After" not in reply.headers


async def test_a_refusal_tells_when_to_come_back(
    pds: Pds, clock: Clock, set_limits: SetLimits
) -> None:
    set_limits(all_requests=1)
    await call(pds)
    clock.advance(0.5)
    reply = await call(pds)
    assert reply.status == 429
    assert reply.json == {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}
    assert reply.headers["Retry-After"] == "300"
    assert reply.headers["RateLimit-Reset"] == "1300"
    assert told(reply) == ("1;w=300", "0")
    assert reply.headers["Access-Control-Expose-Headers"].endswith(", Retry-After")
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    clock.advance(299.5)
    assert (await call(pds)).status == 200


async def test_the_tightest_limit_is_told(pds: Pds, set_limits: SetLimits) -> None:
    set_limits({LOGIN: (30, 300)}, all_requests=31)
    body = {"identifier": "nobody.test", "password": "x"}
    assert told(await pds.post(LOGIN, body)) == ("30;w=300", "29")
    for _ in range(3):
        assert told(await call(pds))[0] == "31;w=300"
    assert told(await pds.post(LOGIN, body)) == ("31;w=300", "26")


async def test_of_two_limits_that_are_exceeded_the_longer_is_told(
    pds: Pds, set_limits: SetLimits
) -> None:
    set_limits({LOGIN: (1, 1)})
    body = {"identifier": "nobody.test", "password": "x"}
    await pds.post(LOGIN, body)
    reply = await pds.post(LOGIN, body)
    assert (reply.status, *told(reply)) == (429, "1;w=86400", "0")
    assert reply.headers["Retry-After"] == "86400"


async def test_streams_errors_and_answers_not_sent_again_tell_of_limits_too(
    pds: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits()
    export = await pds.get(REPO, did=alice.did)
    assert export.headers["Content-Type"] == "application/vnd.ipld.car"
    wrong = await pds.post(LOGIN, {"identifier": alice.handle, "password": "wrong"})
    again = await call(pds, If_None_Match="*")
    head = await pds.request("HEAD", f"/xrpc/{DESCRIBE}")
    missing = await pds.get("com.atproto.sync.getLatestCommit", did="did:web:nobody.test")
    replies = (export, wrong, again, head, missing)
    assert [reply.status for reply in replies] == [200, 401, 304, 200, 400]
    assert all(map(counts, replies))


# --- What counts


async def test_what_is_refused_counts_like_anything_else(
    pds: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits(all_requests=10)
    admin = {"account": alice.did}, basic_auth("admin", "wrong")
    refused = [
        await pds.get("com.atproto.sync.getLatestCommit", did="nope"),
        await pds.post(DESCRIBE),
        await pds.get(SESSION),
        await pds.get(SESSION, {"Authorization": "Bearer nonsense"}),
        await pds.post(LOGIN, {"identifier": "x.test"}),
        await pds.request("POST", f"/xrpc/{LOGIN}", data=b"{"),
        await pds.post("com.atproto.admin.disableAccountInvites", *admin),
    ]
    assert [reply.status for reply in refused] == [400, 400, 401, 400, 400, 400, 401]
    assert [told(reply)[1] for reply in refused] == list("9876543")


async def test_other_routes_and_preflights_do_not_count(pds: Pds, set_limits: SetLimits) -> None:
    set_limits(all_requests=1)
    others = [
        await pds.request("OPTIONS", f"/xrpc/{DESCRIBE}"),
        await pds.get("_health"),
        await pds.request("GET", "/"),
    ]
    assert not any(map(counts, others))
    assert (await call(pds)).status == 200
    assert (await pds.get("_health")).status == 200


async def test_the_limit_of_all_requests_comes_before_parameters_credentials_and_body(
    pds: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits(all_requests=1)
    await call(pds)
    refused = [
        await pds.get(SESSION),
        await pds.get(SESSION, alice.auth),
        await pds.get("com.atproto.sync.getLatestCommit", did="nope"),
        await pds.get("com.atproto.admin.getAccountInfo", pds.admin, did=alice.did),
        await pds.request("POST", f"/xrpc/{LOGIN}", data=b"{"),
    ]
    assert [reply.error for reply in refused] == [(429, "RateLimitExceeded")] * 5


async def test_parameters_credentials_and_body_come_before_the_limits_of_a_method(
    pds: Pds, set_limits: SetLimits
) -> None:
    set_limits({LOGIN: (1, 1), "com.atproto.repo.uploadBlob": (0,)})
    assert (await pds.post(LOGIN, {"identifier": "x.test"})).error == (400, "InvalidRequest")
    assert (await pds.post("com.atproto.repo.uploadBlob")).error == (401, "AuthMissing")
    body = {"identifier": "x.test", "password": "x"}
    assert [(await pds.post(LOGIN, body)).status for _ in range(2)] == [401, 429]


async def test_exports_that_are_refused_count_among_exports_and_not_among_all(
    pds: Pds, set_limits: SetLimits
) -> None:
    set_limits({REPO: (2,)}, all_requests=1)
    statuses = [(await pds.get(REPO, did="nope")).status for _ in range(3)]
    assert statuses == [400, 400, 429]
    assert (await call(pds)).status == 200


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", [UNKNOWN, "nope", "com.example.un/known"])
async def test_unknown_methods_count_before_credentials_are_looked_at(
    pds: Pds, set_limits: SetLimits, verb: str, path: str
) -> None:
    set_limits(all_requests=1)
    headers = {"Authorization": "nonsense"}
    first = await pds.request(verb, f"/xrpc/{path}", headers=headers)
    assert (first.status in (400, 401, 501), told(first)) == (True, ("1;w=300", "0"))
    second = await pds.request(verb, f"/xrpc/{path}", headers=headers)
    assert second.error == (429, "RateLimitExceeded")


async def test_consumers_of_the_firehose_are_counted_when_they_connect(
    pds: Pds, set_limits: SetLimits
) -> None:
    set_limits(all_requests=1)
    url = f"{pds.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with pds.http.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await pds.http.ws_connect(url)
    assert refused.value.status == 429


async def test_a_refused_call_changes_nothing(
    pds: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits({"com.atproto.repo.createRecord": (8, 8)})
    rev = pds.ctx.sequencer.current_seq
    done = [(await create(pds, alice, {"n": n}, rkey=str(n))).status for n in range(4)]
    assert done == [200, 200, 429, 429]
    assert pds.ctx.sequencer.current_seq == rev + 2
    listed = await pds.get("com.atproto.repo.listRecords", repo=alice.did, collection=NOTE)
    assert [record["value"]["n"] for record in listed.json["records"]] == [1, 0]


async def test_writes_are_priced_by_what_they_do(
    pds: Pds, alice: Account, set_limits: SetLimits
) -> None:
    writes = [f"com.atproto.repo.{name}" for name in ("createRecord", "putRecord", "deleteRecord")]
    set_limits(dict.fromkeys((*writes, "com.atproto.repo.applyWrites"), (100, 100)))
    replies = [
        await create(pds, alice, {}, rkey="a"),
        await put(pds, alice, "b", {}),
        await delete(pds, alice, "a"),
        await apply(pds, alice, creates({}, "c"), updates("b", {"n": 1}), deletes("b")),
    ]
    assert [reply.status for reply in replies] == [200] * 4
    assert [told(reply)[1] for reply in replies] == ["97", "95", "94", "88"]


async def test_uploads_and_handles_are_limited(
    pds: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits({"com.atproto.repo.uploadBlob": (1,), "com.atproto.identity.updateHandle": (1, 1)})
    assert [(await pds.upload(alice, b"x")).status for _ in range(2)] == [200, 429]
    handles = [{"handle": f"alice{n}.test"} for n in range(2)]
    update = "com.atproto.identity.updateHandle"
    assert [(await pds.post(update, body, alice.auth)).status for body in handles] == [200, 429]
    assert (await pds.get(SESSION, alice.auth)).json["handle"] == "alice0.test"


# --- Who a client is


async def test_clients_behind_the_proxy_are_told_apart(pds: Pds, set_limits: SetLimits) -> None:
    set_limits(all_requests=1)
    for ip in ("198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8:0:1::1"):
        assert [(await pds.get(DESCRIBE, from_ip(ip))).status for _ in range(2)] == [200, 429]


async def test_the_addresses_of_one_network_of_ipv6_are_one_client(
    pds: Pds, set_limits: SetLimits
) -> None:
    set_limits(all_requests=2)
    ips = ("2001:db8::1", "2001:db8::ffff:1", "2001:0DB8:0:0:1:2:3:4")
    assert [(await pds.get(DESCRIBE, from_ip(ip))).status for ip in ips] == [200, 200, 429]


async def test_a_client_cannot_pretend_to_be_another(pds: Pds, set_limits: SetLimits) -> None:
    set_limits(all_requests=1)
    lies = ("", "192.0.2.1, ", "127.0.0.1,", "192.0.2.2, 10.0.0.1, ", "nonsense, ", ",,")
    headers = [from_ip(f"{lie}198.51.100.1") for lie in lies]
    statuses = [(await pds.get(DESCRIBE, lying)).status for lying in headers]
    assert statuses == [200, 429, 429, 429, 429, 429]


# --- Who is exempt


async def test_the_key_lifts_all_limits(pds: Pds, set_limits: SetLimits) -> None:
    set_limits(all_requests=1, bypass_key="sesamé")
    key = {"x-ratelimit-bypass": "sesamé"}
    for _ in range(3):
        reply = await pds.get(DESCRIBE, key)
        assert (reply.status, counts(reply)) == (200, False)
        assert not counts(await pds.get(UNKNOWN, key))
    assert told(await call(pds)) == ("1;w=300", "0")
    for wrong in ("sesam", "sesame", "SESAMÉ", "", "x" * 1000):
        assert (await pds.get(DESCRIBE, {"x-ratelimit-bypass": wrong})).status == 429


async def test_without_a_key_nothing_opens(pds: Pds, set_limits: SetLimits) -> None:
    set_limits(all_requests=1)
    empty = {"x-ratelimit-bypass": ""}
    assert [(await pds.get(DESCRIBE, empty)).status for _ in range(2)] == [200, 429]


async def test_networks_are_exempt_as_a_whole(pds: Pds, set_limits: SetLimits) -> None:
    networks = [ip_network(text) for text in ("192.0.2.0/24", "198.51.100.7", "2001:db8::/32")]
    set_limits(all_requests=1, bypass_networks=networks)
    for ip in ("192.0.2.1", "192.0.2.255", "198.51.100.7", "2001:db8:ffff::1", "::ffff:192.0.2.9"):
        for _ in range(2):
            reply = await pds.get(DESCRIBE, from_ip(ip))
            assert (reply.status, counts(reply)) == (200, False)
    for ip in ("192.0.3.1", "198.51.100.8", "2001:db9::1"):
        assert [(await pds.get(DESCRIBE, from_ip(ip))).status for _ in range(2)] == [200, 429]


# --- Settings


async def test_without_the_setting_nothing_is_counted(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {"PDS_RATE_LIMIT_BYPASS_KEY": "x"})
        assert RATE_LIMITER not in pds.app
        for nsid in (DESCRIBE, UNKNOWN):
            assert not counts(await pds.get(nsid))


async def test_the_settings_hold_for_the_declared_limits(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        environ = {
            "PDS_RATE_LIMITS_ENABLED": "true",
            "PDS_RATE_LIMIT_BYPASS_KEY": "sesame",
            "PDS_RATE_LIMIT_BYPASS_IPS": "192.0.2.0/24, 198.51.100.7",
        }
        pds = await start_pds(stack, tmp_path, environ)
        assert told(await pds.get(DESCRIBE)) == ("3000;w=300", "2999")
        assert told(await pds.get(REPO, did="did:web:x.test"))[0] == "6000;w=300"
        exempt: list[dict[str, str]] = [
            {"x-ratelimit-bypass": "sesame"},
            from_ip("192.0.2.1"),
            from_ip("198.51.100.7"),
        ]
        assert not any([counts(await pds.get(DESCRIBE, headers)) for headers in exempt])
        # An exempt network is that of a proxy, too.
        behind: Any = from_ip("203.0.113.1, 192.0.2.1")
        assert told(await pds.get(DESCRIBE, behind)) == ("3000;w=300", "2999")
