"""Whether others reach a hold: what its public URL answers is what this server would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pds.cli.hold.reach import find_fault

DID: Final = "did:web:hold.example.com"
KEY: Final = "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"


class Site:
    """What answers at the hold's URL."""

    url = ""
    answer: Any = None

    async def find_fault(self) -> str | None:
        return await asyncio.to_thread(find_fault, self.url, did=DID, signing_key=f"did:key:{KEY}")

    def document(self, **changes: Any) -> dict[str, Any]:
        return {
            "id": DID,
            "verificationMethod": [{"id": f"{DID}#atproto", "publicKeyMultibase": KEY}],
            "service": [{"id": "#atproto_pds", "serviceEndpoint": self.url}],
            **changes,
        }


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(site.answer), content_type="application/json")

    app = web.Application()
    app.router.add_get("/.well-known/did.json", answer)
    async with TestServer(app) as server:
        site.url = str(server.make_url("")).rstrip("/")
        yield site


async def test_the_document_of_this_server_is_all_right(site: Site) -> None:
    site.answer = site.document()
    assert await site.find_fault() is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": "did:web:other.example.com"}, "the document of another DID"),
        ({"verificationMethod": []}, "has another key than this data directory"),
        ({"verificationMethod": "none"}, "has another key than this data directory"),
        ({"service": [{"id": "#atproto_pds", "serviceEndpoint": "https://x"}]}, "another URL"),
        ({"service": None}, "another URL"),
    ],
)
async def test_another_document_is_told(site: Site, changes: dict[str, Any], told: str) -> None:
    site.answer = site.document(**changes)
    assert told in str(await site.find_fault())


async def test_an_answer_that_is_no_document_is_told(site: Site) -> None:
    for site.answer in ([], "text", None):
        assert "another DID" in str(await site.find_fault())
