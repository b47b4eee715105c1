"""Asking a server: temporary failures are tried again, not for ever, and others not at all."""

from __future__ import annotations

import gzip

import pytest
from aiohttp import web

from pds.car import remote
from pds.car.remote import RemoteFailure, RemotePds
from tests.pds.car.conftest import ScriptedPds

NSID = "com.example.method"


async def ask(server: ScriptedPds) -> object:
    pds = server.account().pds
    return await server.retries.run(lambda: pds.query(NSID, who="alice & co"))


async def test_a_query_has_its_parameters_and_answers_json(scripted: ScriptedPds) -> None:
    scripted.answers["method"] = [b'{"a": 1}']
    assert await ask(scripted) == {"a": 1}
    assert scripted.asked == [(NSID, {"who": "alice & co"})]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_temporary_failures_are_tried_again(scripted: ScriptedPds, status: int) -> None:
    scripted.answers["method"] = [status, status, b"{}"]
    assert await ask(scripted) == {}
    assert scripted.pauses == [1, 2]


async def test_a_connection_that_breaks_off_is_tried_again(scripted: ScriptedPds) -> None:
    scripted.answers["method"] = [b'{"a": "long enough to be cut"}']
    scripted.cut = 2
    assert await ask(scripted) == {"a": "long enough to be cut"}


async def test_attempts_are_bounded(scripted: ScriptedPds) -> None:
    scripted.answers["method"] = [503]
    with pytest.raises(RemoteFailure, match=rf"{scripted.url} refuses {NSID}: Oops: no luck"):
        await ask(scripted)
    assert len(scripted.asked) == 4
    assert scripted.pauses == [1, 2, 4]


@pytest.mark.parametrize(("told", "kept"), [("7", 7), ("999", 60), ("x", 1), ("-1", 1)])
async def test_a_server_may_say_how_long_to_wait_within_reason(
    scripted: ScriptedPds, told: str, kept: float
) -> None:
    busy = web.Response(status=429, headers={"Retry-After": told})
    scripted.answers["method"] = [busy, b"{}"]
    await ask(scripted)
    assert scripted.pauses == [kept]


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_refusals_are_final(scripted: ScriptedPds, status: int) -> None:
    scripted.answers["method"] = [status]
    with pytest.raises(RemoteFailure, match="Oops: no luck"):
        await ask(scripted)
    assert len(scripted.asked) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [(b"<html>", "status 400"), (b'{"error": 5}', "status 400"), (b"[]", "status 400")],
)
async def test_a_refusal_without_a_message_tells_its_status(
    scripted: ScriptedPds, body: bytes, told: str
) -> None:
    scripted.answers["method"] = [web.Response(status=400, body=body)]
    with pytest.raises(RemoteFailure, match=told):
        await ask(scripted)


async def test_a_message_cannot_steer_the_terminal(scripted: ScriptedPds) -> None:
    evil = web.json_response({"error": "X", "message": "\x1b[2J"}, status=400)
    scripted.answers["method"] = [evil]
    with pytest.raises(RemoteFailure) as refused:
        await ask(scripted)
    assert str(refused.value).isprintable()


async def test_an_answer_that_is_no_json_is_refused(scripted: ScriptedPds) -> None:
    scripted.answers["method"] = [b"<html>"]
    with pytest.raises(RemoteFailure, match="not JSON"):
        await ask(scripted)
    assert len(scripted.asked) == 1


async def test_a_server_nobody_has_named_is_not_asked_in_private(scripted: ScriptedPds) -> None:
    pds = RemotePds(scripted.http, scripted.url, trusted=False)
    with pytest.raises(RemoteFailure, match=f"name it: --pds {scripted.url}"):
        await pds.query(NSID)
    assert scripted.asked == []


async def test_redirects_are_followed_up_to_a_bound(scripted: ScriptedPds) -> None:
    def to(path: str) -> web.Response:
        return web.Response(status=302, headers={"Location": path})

    scripted.answers["method"] = [to("/xrpc/elsewhere?a=%2F&b=c%20d")]
    scripted.answers["elsewhere"] = [b'{"there": true}']
    assert await ask(scripted) == {"there": True}
    assert scripted.asked[1] == ("elsewhere", {"a": "/", "b": "c d"})
    scripted.answers["method"] = [to(f"/xrpc/{NSID}") for _ in range(9)]
    with pytest.raises(RemoteFailure, match="too many redirects"):
        await ask(scripted)
    assert len(scripted.asked) == 6


@pytest.mark.parametrize("where", ["http://127.0.0.2:1/x", "ftp://example.com/", "http://["])
async def test_a_redirect_elsewhere_is_not_trusted(scripted: ScriptedPds, where: str) -> None:
    """The user has named this server, not what it points to."""
    away = web.Response(status=302, headers={"Location": where})
    scripted.answers["method"] = [away]
    with pytest.raises(RemoteFailure, match=r"not an https URL|not a URL") as refused:
        await ask(scripted)
    assert not refused.value.is_temporary
    assert len(scripted.asked) == 1


async def test_compressed_answers_are_decompressed(scripted: ScriptedPds) -> None:
    answer = web.Response(body=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})
    scripted.answers["method"] = [answer]
    assert await ask(scripted) == {"a": 1}


async def test_silence_is_bounded(scripted: ScriptedPds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_IDLE_TIMEOUT_S", 0.05)
    scripted.answers["method"] = [b"{}"]
    scripted.silent = True
    with pytest.raises(RemoteFailure, match=r"silent for 0\.05 s") as failed:
        await ask(scripted)
    assert failed.value.is_temporary
    assert len(scripted.asked) == 4


async def test_json_is_bounded(scripted: ScriptedPds) -> None:
    scripted.answers["method"] = [b" " * 1_100_000 + b"{}"]
    with pytest.raises(RemoteFailure, match="longer than"):
        await ask(scripted)
