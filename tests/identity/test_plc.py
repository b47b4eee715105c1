from __future__ import annotations

import json
import socket

import pytest
from aiohttp import web

from identity.http import SafeHttp
from identity.plc import PlcClient, PlcError
from identity.plc_operation import PlcOperation
from tests.identity.conftest import Hang, WebHost
from tests.identity.plc_samples import SERVER_KEY, History, plc_data


@pytest.fixture
def history() -> History:
    return History()


async def test_operations_are_posted_as_json(web_host: WebHost, history: History) -> None:
    received: list[object] = []

    async def accept(request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        received.append(await request.json())
        return web.Response(text="OK")

    web_host.pages[f"/{history.did}"] = accept
    # The directory is the operator's choice, so the protection does not apply to it.
    async with SafeHttp() as http:
        await PlcClient(web_host.url + "/", http).send(history.did, history.last.operation)
    assert received == [history.last.operation.to_json()]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ('{"message":"Invalid signature"}', 400, "Invalid signature"),
        ('{"message":"DID not registered"}', 404, "DID not registered"),
        ('{"message":5}', 409, "Unable to perform PLC operation"),
        ("<html>", 503, "Unable to perform PLC operation"),
        ("", 302, "Unable to perform PLC operation"),
    ],
)
async def test_refusals_carry_status_and_message(
    open_http: SafeHttp, web_host: WebHost, history: History, body: str, status: int, message: str
) -> None:
    web_host.answer(f"/{history.did}", body, status=status)
    web_host.answer(f"/{history.did}/data", body, status=status)
    client = PlcClient(web_host.url, open_http)
    with pytest.raises(PlcError) as sent:
        await client.send(history.did, history.last.operation)
    assert (sent.value.status, sent.value.message) == (status, message)
    with pytest.raises(PlcError) as asked:
        await client.data(history.did)
    assert (asked.value.status, asked.value.message) == (status, message)


async def test_a_directory_that_does_not_answer_is_a_502(
    web_host: WebHost, history: History
) -> None:
    hang = Hang()
    web_host.pages[f"/{history.did}/log/last"] = hang
    async with SafeHttp(timeout_ms=50) as http:
        with pytest.raises(PlcError) as hung:
            await PlcClient(web_host.url, http).last_op(history.did)
        hang.release.set()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with pytest.raises(PlcError) as refused:
                await PlcClient(url, http).send(history.did, history.last.operation)
    assert hung.value.status == refused.value.status == 502


@pytest.mark.parametrize("body", ["{", "[]", "{}", "null", '[{"cid":1}]', "[1]", "5"])
async def test_nonsense_from_a_directory_is_a_502(
    open_http: SafeHttp, web_host: WebHost, history: History, body: str
) -> None:
    client = PlcClient(web_host.url, open_http)
    for path in ("data", "log/last"):
        web_host.answer(f"/{history.did}/{path}", body)
    for call in (client.data, client.last_op):
        with pytest.raises(PlcError) as caught:
            await call(history.did)
        assert caught.value.status == 502


@pytest.mark.parametrize("body", ["{", "{}", "null", '[{"cid":1}]', "[1]", "5"])
async def test_a_malformed_audit_log_is_a_502(
    open_http: SafeHttp, web_host: WebHost, history: History, body: str
) -> None:
    web_host.answer(f"/{history.did}/log/audit", body)
    with pytest.raises(PlcError) as caught:
        await PlcClient(web_host.url, open_http).audit_log(history.did)
    assert caught.value.status == 502


async def test_a_tombstoned_did_is_not_updated(
    open_http: SafeHttp, web_host: WebHost, history: History
) -> None:
    tombstone = PlcOperation.sign_tombstone(prev=history.last.cid, key=SERVER_KEY)
    web_host.answer(f"/{history.did}/log/last", json.dumps(tombstone.to_json()))
    with pytest.raises(PlcError, match="Did is tombstoned"):
        await PlcClient(web_host.url, open_http).update(
            history.did, lambda _: plc_data(), key=SERVER_KEY
        )
