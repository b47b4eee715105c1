"""Finding clients: metadata and keys are fetched over TLS from a real host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from database.open_files import OpenFiles
from identity.http import SafeHttp
from pds.fairness.turns import TooBusy
from pds.oauth.clients.clients import Clients
from pds.oauth.clients.web_files import ASK_AGAIN_S, FAILED_S, FRESH_S
from pds.oauth.errors import InvalidClientId, InvalidClientMetadata, InvalidRedirectUri, OAuthError
from tests.hostile_values import assert_short
from tests.loop_blocks import loop_blocks
from tests.pds.oauth.client_host import ClientHost, serve_clients
from tests.pds.oauth.clients.metadata_samples import CLIENT_ID, KEY, MISSING, confidential, metadata

KEYS_URL = "https://app.bsky.app/jwks.json"


@dataclass
class Setting:
    """Clients, the host that they are on, and the time."""

    host: ClientHost
    clients: Clients
    http: SafeHttp
    now: float = 1_000_000.0


@pytest.fixture
async def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setting]:
    async with serve_clients(tmp_path, monkeypatch) as (host, http):
        setting = Setting(host, Clients(http), http)
        setting.clients = Clients(http, trusted=[], clock=lambda: setting.now)
        yield setting


async def reason_of(clients: Clients, client_id: str = CLIENT_ID) -> str:
    """Why a client is refused."""
    with pytest.raises(OAuthError) as refused:
        await clients.get(client_id)
    return refused.value.description


async def test_a_client_is_what_its_document_says(setting: Setting) -> None:
    setting.host.publish(metadata(), media_type="application/json; charset=utf-8")

    client = await setting.clients.get(CLIENT_ID)

    assert client.metadata.client_name == "App"
    assert (client.host, client.is_confidential, client.is_trusted) == (
        "app.bsky.app",
        False,
        False,
    )
    assert [request.headers["Accept"] for request in setting.host.requests] == ["application/json"]


async def test_a_loopback_client_needs_no_document(setting: Setting) -> None:
    client = await setting.clients.get("http://localhost?scope=atproto+repo:*")

    assert client.is_loopback
    assert not client.is_confidential
    assert client.metadata.scopes == ["atproto", "repo:*"]
    assert client.has_redirect_uri("http://127.0.0.1:5173/")
    assert setting.host.requests == []


async def test_a_loopback_client_has_to_declare_atproto(setting: Setting) -> None:
    assert await reason_of(setting.clients, "http://localhost?scope=repo:*") == (
        'Missing "atproto" scope'
    )


async def test_clients_that_the_operator_names_are_trusted(setting: Setting) -> None:
    setting.host.publish(metadata())
    clients = Clients(setting.http, trusted=[CLIENT_ID])

    assert (await clients.get(CLIENT_ID)).is_trusted
    assert not (await clients.get("http://localhost")).is_trusted


async def test_a_document_is_fetched_anew_after_ten_minutes(setting: Setting) -> None:
    setting.host.publish(metadata())
    await setting.clients.get(CLIENT_ID)
    setting.host.publish(metadata(client_name="New"))

    setting.now += FRESH_S - 1
    assert (await setting.clients.get(CLIENT_ID)).metadata.client_name == "App"
    setting.now += 2
    assert (await setting.clients.get(CLIENT_ID)).metadata.client_name == "New"
    assert len(setting.host.requests) == 2


async def test_a_failure_is_remembered_for_some_seconds(setting: Setting) -> None:
    assert "status 404" in await reason_of(setting.clients)
    setting.host.publish(metadata())

    assert "status 404" in await reason_of(setting.clients)
    assert len(setting.host.requests) == 1
    setting.now += FAILED_S + 1
    assert (await setting.clients.get(CLIENT_ID)).client_id == CLIENT_ID


async def test_many_who_ask_at_once_share_one_request(setting: Setting) -> None:
    setting.host.publish(metadata())
    setting.host.is_open.clear()
    asking = [asyncio.create_task(setting.clients.get(CLIENT_ID)) for _ in range(50)]
    await setting.host.was_asked.wait()

    asking[0].cancel()
    setting.host.is_open.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert {getattr(one, "client_id", one) for one in answers[1:]} == {CLIENT_ID}
    assert len(setting.host.requests) == 1


@pytest.mark.parametrize(
    ("document", "options", "reason"),
    [
        (metadata(), {"status": 404}, "status 404"),
        (metadata(), {"status": 203}, "status 203"),
        (metadata(), {"status": 302, "Location": "https://app.bsky.app/x"}, "redirected to"),
        (metadata(), {"media_type": "text/html"}, "type of the document"),
        (metadata(), {"media_type": "application/json5"}, "type of the document"),
        (metadata(), {"media_type": None}, "type of the document"),
        (b"<html>", {}, "not JSON"),
        (b"[" * 5_000, {}, "not JSON"),
        (b"[" * 100_000, {}, "over 10000 objects and arrays"),
        (b" " * (512 * 1024 + 1), {}, "longer than 524288 bytes"),
        ([1], {}, "not a JSON object"),
        (metadata(redirect_uris=5), {}, 'Validation of "redirect_uris" failed'),
    ],
)
async def test_what_is_no_metadata_document_is_refused_with_a_reason(
    setting: Setting, document: object, options: dict[str, Any], reason: str
) -> None:
    setting.host.publish(document, **options)

    with pytest.raises(InvalidClientMetadata) as refused:
        await setting.clients.get(CLIENT_ID)

    assert refused.value.description.startswith(
        f'Unable to obtain client metadata for "{CLIENT_ID}": '
    )
    assert reason in refused.value.description


async def test_a_document_of_another_client_is_refused(setting: Setting) -> None:
    setting.host.publish(metadata(client_id="https://app.bsky.app/other.json"))
    assert await reason_of(setting.clients) == "client_id does not match"


async def test_wrong_redirect_uris_have_their_own_error(setting: Setting) -> None:
    setting.host.publish(metadata(redirect_uris=["https://foo.test/"]))
    with pytest.raises(InvalidRedirectUri):
        await setting.clients.get(CLIENT_ID)


async def test_a_host_that_is_not_there_is_told_without_its_address(setting: Setting) -> None:
    reason = await reason_of(setting.clients, "https://other.bsky.app/client-metadata.json")
    assert reason.endswith("the host cannot be reached, or its certificate is not valid")


async def test_a_host_that_never_answers_is_not_waited_for(setting: Setting) -> None:
    setting.host.is_open.clear()
    resolver = setting.http._resolver
    async with SafeHttp(allow_private=True, resolver=resolver, timeout_ms=50) as http:
        reason = await reason_of(Clients(http))
    assert reason.endswith("no answer within 0.05 s")


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "atproto " + " ".join(map(str, range(12_000)))},
        {"scope": "a " * 60_000},
        {"redirect_uris": ["https://a.app/"] * 30_000},
        {"redirect_uris": ["https://a.app/" + "%41" * 600] * 100},
        {"grant_types": ["authorization_code"] * 20_000},
        {"jwks": {"keys": [KEY] * 2_500}},
        {"jwks": {"keys": [{**KEY, "kid": str(number)} for number in range(100)]}},
        {"jwks": {"keys": [{"kty": "RSA", "kid": "a", "e": "AQAB", "n": "_" * 1_366}] * 100}},
        {"client_uri": "https://" + "a." * 200_000},
        {"contacts": [[[[]]]] * 60_000},
        {str(number): number for number in range(30_000)},
    ],
)
async def test_no_document_holds_the_event_loop(setting: Setting, changes: dict[str, Any]) -> None:
    setting.host.publish(confidential(**changes))
    with loop_blocks() as blocks, suppress(OAuthError):
        await setting.clients.get(CLIENT_ID)
    assert_short(blocks)


async def test_no_document_of_very_many_parts_holds_the_event_loop(setting: Setting) -> None:
    setting.host.publish(b'{"a":[' + b"[[]]," * 100_000 + b"1]}")
    with loop_blocks() as blocks:
        assert "objects and arrays" in await reason_of(setting.clients)
    assert_short(blocks)


async def test_no_request_goes_to_a_private_address(setting: Setting) -> None:
    setting.host.publish(metadata())
    assert setting.http._resolver is not None
    async with SafeHttp(resolver=setting.http._resolver) as http:
        reason = await reason_of(Clients(http))
    assert reason.endswith("the address is not public")
    assert setting.host.requests == []


async def test_a_client_id_with_a_port_is_refused_outside_of_development() -> None:
    async with SafeHttp() as http:
        with pytest.raises(InvalidClientId, match="must not have a port"):
            await Clients(http).get("https://app.bsky.app:8443/client-metadata.json")


async def test_a_server_without_free_files_blames_no_client(setting: Setting) -> None:
    setting.host.publish(metadata())
    files = OpenFiles()
    files.limit = 0
    async with SafeHttp(allow_private=True, resolver=setting.http._resolver, files=files) as http:
        clients = Clients(http)
        with pytest.raises(TooBusy):
            await clients.get(CLIENT_ID)
        files.limit = 1_000
        assert (await clients.get(CLIENT_ID)).client_id == CLIENT_ID


async def test_keys_come_from_the_document_or_from_their_own(setting: Setting) -> None:
    setting.host.publish(confidential())
    inline = await setting.clients.get(CLIENT_ID)
    setting.now += FRESH_S + 1
    setting.host.publish(confidential(jwks=MISSING, jwks_uri=KEYS_URL))
    setting.host.publish({"keys": [KEY]}, "/jwks.json", media_type="application/jwk-set+json")
    remote = await setting.clients.get(CLIENT_ID)

    assert [key.kid for key in inline.keys.keys] == ["key-1"]
    assert remote.keys == inline.keys
    assert remote.is_confidential


async def test_keys_that_cannot_be_fetched_are_told_with_their_place(setting: Setting) -> None:
    setting.host.publish(confidential(jwks=MISSING, jwks_uri=KEYS_URL))

    assert await reason_of(setting.clients) == (
        f'Unable to obtain jwks from "{KEYS_URL}" for "{CLIENT_ID}": status 404'
    )


async def test_fresh_keys_are_fetched_once_a_minute(setting: Setting) -> None:
    setting.host.publish(confidential(jwks=MISSING, jwks_uri=KEYS_URL))
    setting.host.publish({"keys": [KEY]}, "/jwks.json")
    client = await setting.clients.get(CLIENT_ID)
    setting.host.publish({"keys": [{**KEY, "kid": "key-2"}]}, "/jwks.json")

    same = await setting.clients.with_fresh_keys(client)
    setting.now += ASK_AGAIN_S
    changed = await setting.clients.with_fresh_keys(client)

    assert [key.kid for key in same.keys.keys] == ["key-1"]
    assert [key.kid for key in changed.keys.keys] == ["key-2"]
    assert (await setting.clients.get(CLIENT_ID)).keys == changed.keys
