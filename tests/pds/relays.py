"""A relay for tests: takes com.atproto.sync.requestCrawl and notes who asked."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class Relay:
    """A relay on this machine. It answers `status` and `answer`, once `may_answer` is set."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[Any] = asyncio.Queue()
        """The bodies of the requests, in their order."""
        self.status = 200
        self.answer: Any = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        app = web.Application()
        app.router.add_post("/xrpc/com.atproto.sync.requestCrawl", self._request_crawl)
        self._server = TestServer(app)

    async def __aenter__(self) -> Relay:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.may_answer.set()
        await self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def _request_crawl(self, request: web.Request) -> web.Response:
        self.asked.put_nowait(await request.json())
        await self.may_answer.wait()
        return web.json_response(self.answer, status=self.status)
