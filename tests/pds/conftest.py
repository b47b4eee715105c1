"""The server of these tests: the real application over HTTP, with a PLC directory of its own."""

from __future__ import annotations

import base64
import itertools
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import structlog
from aiohttp import web
from multidict import CIMultiDictProxy

from pds.config import Settings, read_settings
from pds.context import AppContext, open_app_context
from pds.dev.plc_directory import plc_application
from pds.dev.plc_store import PlcStore
from pds.disk.data_directory import make_directories
from pds.monitoring.logs.configuration import StandardLibrary
from pds.recovery.start import recover
from pds.server.app import make_app, make_runner
from tests.calls import record_calls

ADMIN_PASSWORD = "admin-pass"


@dataclass(slots=True, frozen=True)
class Reply:
    """An answer of the server, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    json: Any

    @property
    def error(self) -> tuple[int, str]:
        """Status and error name, as most tests of refusals compare them."""
        return self.status, self.json["error"]


@dataclass(slots=True)
class Account:
    """An account made by a test, with its session."""

    did: str
    handle: str
    email: str
    password: str
    access_jwt: str
    refresh_jwt: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_jwt}"}

    @property
    def refresh_auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.refresh_jwt}"}


@dataclass(slots=True)
class Pds:
    """A running server, and a client for it."""

    ctx: AppContext
    url: str
    http: aiohttp.ClientSession
    plc: PlcStore
    app: web.Application
    _names: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def public_url(self) -> str:
        return self.ctx.settings.public_url

    @property
    def admin(self) -> dict[str, str]:
        return basic_auth("admin", ADMIN_PASSWORD)

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Any = None,
        json: Any = None,
        data: Any = None,
    ) -> Reply:
        """Send any request; `path` is relative to the server."""
        async with self.http.request(
            method, self.url + path, headers=headers, params=params, json=json, data=data
        ) as response:
            body = await response.read()
            is_json = response.content_type == "application/json" and body
            return Reply(
                response.status,
                response.headers,
                body,
                await response.json() if is_json else None,
            )

    async def get(
        self, nsid: str, headers: Mapping[str, str] | None = None, **params: Any
    ) -> Reply:
        """Call a query. List parameters are repeated."""
        return await self.request("GET", f"/xrpc/{nsid}", headers=headers, params=params)

    async def post(
        self, nsid: str, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Call a procedure with a JSON body, or with none."""
        return await self.request("POST", f"/xrpc/{nsid}", headers=headers, json=json)

    async def upload(
        self, account: Account, data: bytes | BytesIO, content_type: str = "image/png"
    ) -> Reply:
        """Upload a blob."""
        return await self.request(
            "POST",
            "/xrpc/com.atproto.repo.uploadBlob",
            headers={**account.auth, "Content-Type": content_type},
            data=data,
        )

    async def create_account(self, name: str | None = None, **more: Any) -> Account:
        """Make an account with a fresh name under .test; `more` goes into the request."""
        name = name or f"user{next(self._names)}"
        handle, email, password = f"{name}.test", f"{name}@example.com", f"{name}-password"
        reply = await self.post(
            "com.atproto.server.createAccount",
            {"handle": handle, "email": email, "password": password, **more},
        )
        assert reply.status == 200, reply.body
        return Account(
            reply.json["did"],
            handle,
            email,
            password,
            reply.json["accessJwt"],
            reply.json["refreshJwt"],
        )

    async def create_record(
        self, account: Account, collection: str, record: Mapping[str, Any], **more: Any
    ) -> Any:
        """Create a record and return the output."""
        body = {"repo": account.did, "collection": collection, "record": record, **more}
        reply = await self.post("com.atproto.repo.createRecord", body, account.auth)
        assert reply.status == 200, reply.body
        return reply.json

    async def post_text(self, account: Account, text: str = "hello") -> Any:
        """Create a post and return the output."""
        record = {
            "$type": "app.bsky.feed.post",
            "text": text,
            "createdAt": "2026-01-01T00:00:00.000Z",
        }
        return await self.create_record(account, "app.bsky.feed.post", record)


def basic_auth(name: str, password: str) -> dict[str, str]:
    """The headers of HTTP Basic authentication."""
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


_LOGS: Final = structlog.get_config()
_ROOT_LEVEL: Final = logging.getLogger().level


@pytest.fixture(autouse=True)
def _put_logs_back() -> Iterator[None]:
    """A test, or a fixture, that sets up logs, as commands do, leaves other tests what they had."""
    _forget_logs()
    yield
    _forget_logs()


def _forget_logs() -> None:
    structlog.configure(**_LOGS)
    root = logging.getLogger()
    root.handlers[:] = [each for each in root.handlers if not isinstance(each, StandardLibrary)]
    root.setLevel(_ROOT_LEVEL)


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """New files are readable by all, whatever tests before have left."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def pds_environ() -> dict[str, str]:
    """PDS_* variables that a test module may add to or change."""
    return {}


@pytest.fixture
async def pds(tmp_path: Path, pds_environ: dict[str, str]) -> AsyncIterator[Pds]:
    """A server with an empty data directory, on free ports."""
    async with AsyncExitStack() as stack:
        yield await start_pds(stack, tmp_path, pds_environ)


@pytest.fixture
async def alice(pds: Pds) -> Account:
    return await pds.create_account("alice")


@pytest.fixture
async def bob(pds: Pds) -> Account:
    return await pds.create_account("bob")


async def start_pds(
    stack: AsyncExitStack, data: Path, environ: Mapping[str, str], *, port: int = 0
) -> Pds:
    """Start a server on `data` that stops with `stack`, on a free port unless one is given."""
    plc, settings = await prepare_pds(stack, data, environ)
    ctx = await open_app_context(settings, recover, min_login_ms=0)
    stack.push_async_callback(ctx.close)
    return await serve_pds(stack, ctx, plc, port=port)


async def prepare_pds(
    stack: AsyncExitStack, data: Path, environ: Mapping[str, str]
) -> tuple[PlcStore, Settings]:
    """Start a PLC directory, and return it with the settings of a server on `data`."""
    plc = PlcStore(data / "plc.sqlite")
    stack.callback(plc.close)
    plc_port = await _listen(stack, plc_application(plc))
    settings = read_settings(
        {
            "PDS_HOSTNAME": "localhost",
            "PDS_DATA_DIRECTORY": str(data),
            "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
            "PDS_DID_PLC_URL": f"http://127.0.0.1:{plc_port}",
            "PDS_JWT_SECRET": "jwt-secret",
            "PDS_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
            "PDS_INVITE_REQUIRED": "false",
            "PDS_DEV_MODE": "true",
            **environ,
        }
    )
    make_directories(settings)
    return plc, settings


async def serve_pds(stack: AsyncExitStack, ctx: AppContext, plc: PlcStore, *, port: int = 0) -> Pds:
    """Answer requests over HTTP until `stack` closes, before which `ctx` must not be closed."""
    app = make_app(ctx)
    record_calls(app)
    port = await _listen(stack, app, port)
    http = await stack.enter_async_context(aiohttp.ClientSession())
    return Pds(ctx, f"http://127.0.0.1:{port}", http, plc, app)


async def _listen(stack: AsyncExitStack, app: web.Application, port: int = 0) -> int:
    runner = make_runner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    return int(runner.addresses[0][1])
