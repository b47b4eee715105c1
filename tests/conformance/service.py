"""A service that both servers pass requests on to: it says what it was sent, or fails as asked."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.dev.plc_store import PlcStore
from repo.keys import K256PrivateKey
from repo.syntax import Did

_OF_CONNECTIONS: Final = frozenset({"host", "connection", "keep-alive", "transfer-encoding"})
_KEPT_BACK: Final = {
    "Location": "/x",
    "Set-Cookie": "a=b",
    "ETag": '"x"',
    "Cache-Control": "public",
}


async def _answer(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    if "slam" in request.query:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
    if "status" in request.query:
        return _refuse(request, int(request.query["status"]))
    if request.path.endswith("createReport"):
        report = json.loads(body)
        sent = {"id": 1, "reportedBy": _claims(request)["iss"], "createdAt": "2026-01-01T00:00:00Z"}
        return web.json_response({**report, **sent})
    return web.json_response(_echo(request, body), headers=_KEPT_BACK)


def _refuse(request: web.Request, status: int) -> web.Response:
    as_ = request.query.get("as")
    if as_ == "text":
        return web.Response(status=status, text="<html>", content_type="text/html")
    if as_ == "nothing":
        return web.Response(status=status, headers=_KEPT_BACK)
    error = json.dumps({"error": "Custom", "message": "no", "more": 1}).encode()
    if as_ == "gzip":
        packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(status=status, body=gzip.compress(error), headers=packed)
    return web.Response(status=status, body=error, content_type="application/json")


def _echo(request: web.Request, body: bytes) -> dict[str, Any]:
    sent = {name.lower(): value for name, value in request.headers.items()}
    is_plain = sent["accept-encoding"].startswith("identity")
    if is_plain or not request.path.endswith("searchActors"):
        # Said in several ways, where that is up to the server.
        del sent["accept-encoding"]
    return {
        "method": request.method,
        "path": request.raw_path,
        "headers": {
            name: value
            for name, value in sorted(sent.items())
            if name not in _OF_CONNECTIONS and name != "authorization"
        },
        "body": base64.b64encode(body).decode(),
        "claims": _claims(request),
    }


def _claims(request: web.Request) -> dict[str, Any]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        return {}
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    lifetime = claims.pop("exp") - claims.pop("iat")
    return {**claims, "jti": len(claims["jti"]), "lifetime": lifetime}


@contextmanager
def running_service(plc_file: Path) -> Iterator[Did]:
    """Run the service in a thread, and enter its DID into the PLC directory in `plc_file`.

    Its document has the service ids `echo` and `bsky_notif`.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(app, auto_decompress=False)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield _register(plc_file, f"http://localhost:{port}")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _register(plc_file: Path, url: str) -> Did:
    key = K256PrivateKey.generate()
    data = PlcData(
        rotation_keys=(key.did_key,),
        verification_methods={"atproto": key.did_key},
        also_known_as=(),
        services={
            "echo": PlcService("ExampleService", url),
            "bsky_notif": PlcService("BskyNotificationService", url),
        },
    )
    operation = PlcOperation.sign(data, prev=None, key=key)
    store = PlcStore(plc_file)
    store.append(operation.did(), operation)
    store.close()
    return operation.did()
