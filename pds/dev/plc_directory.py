"""A PLC directory for a network without internet: the public one's HTTP API over `PlcStore`.

Statuses, messages and the form of documents are those of the reference directory, whose clients
it serves.

Spec: https://web.plc.directory/spec/v0.1/did-plc and https://web.plc.directory/api/redoc
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import orjson
from aiohttp import web

from identity.plc_data import InvalidPlcOperation, PlcData
from identity.plc_document import document_of
from identity.plc_log import PlcLogEntry, parse_time_ms
from identity.plc_operation import PlcOperation
from pds import DISTRIBUTION
from pds.dev.plc_store import MAX_EXPORT, PlcStore, StoredOperation
from repo.syntax import Did

MAX_BODY_BYTES: Final = 100 * 1024

_DEFAULT_EXPORT: Final = 10
_IDENTIFIER_LENGTH: Final = len("did:plc:") + 24
_STORE: Final = web.AppKey("plc_store", PlcStore)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def plc_application(store: PlcStore) -> web.Application:
    """Return the directory as an aiohttp application. The caller closes `store`."""
    app = web.Application(middlewares=[_errors_and_cors], client_max_size=MAX_BODY_BYTES)
    app[_STORE] = store
    app.router.add_get("/_health", _health)
    app.router.add_get("/export", _export)
    app.router.add_get("/{did}", _document)
    app.router.add_post("/{did}", _append)
    app.router.add_get("/{did}/data", _data)
    app.router.add_get("/{did}/log", _log)
    app.router.add_get("/{did}/log/last", _last)
    app.router.add_get("/{did}/log/audit", _audit)
    return app


@web.middleware
async def _errors_and_cors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except InvalidPlcOperation as exc:
        response = _json({"message": str(exc)}, status=400)
    except web.HTTPException as exc:
        response = _json({"message": exc.text or exc.reason}, status=exc.status)
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


async def _health(request: web.Request) -> web.Response:
    try:
        name = version(DISTRIBUTION)
    except PackageNotFoundError:
        name = "0.0.0"
    return _json({"version": name})


async def _document(request: web.Request) -> web.Response:
    did = _did(request)
    document = document_of(did, _current(request, did))
    return _json(document, content_type="application/did+ld+json")


async def _data(request: web.Request) -> web.Response:
    did = _did(request)
    return _json({"did": did, **_current(request, did).to_json()})


async def _log(request: web.Request) -> web.Response:
    entries = _entries(request)
    return _json([entry.operation.to_json() for entry in entries if not entry.nullified])


async def _audit(request: web.Request) -> web.Response:
    return _json([entry.to_json() for entry in _entries(request)])


async def _last(request: web.Request) -> web.Response:
    return _json(_last_operation(request, _did(request)).to_json())


async def _append(request: web.Request) -> web.Response:
    did = _did(request)
    if not did.startswith("did:plc:") or len(did) != _IDENTIFIER_LENGTH:
        raise InvalidPlcOperation(f"Improperly formatted did: {did}")
    try:
        value = orjson.loads(await request.read())
    except orjson.JSONDecodeError as exc:
        raise InvalidPlcOperation("Not a valid operation: not JSON") from exc
    request.app[_STORE].append(did, PlcOperation.parse(value))
    return web.Response(text="OK")


async def _export(request: web.Request) -> web.Response:
    store = request.app[_STORE]
    count = _count(request.query.get("count"))
    after = request.query.get("after", "")
    if after.isascii() and after.isdigit() and len(after) < 16:
        lines = [_numbered(stored) for stored in store.export_after_seq(int(after), count)]
    else:
        found = store.export_after_time(parse_time_ms(after) if after else 0, count)
        lines = [stored.entry.to_json() for stored in found]
    return web.Response(body=_json_lines(lines), content_type="application/jsonlines")


def _did(request: web.Request) -> Did:
    return Did(request.match_info["did"])


def _entries(request: web.Request) -> list[PlcLogEntry]:
    did = _did(request)
    entries = request.app[_STORE].log(did)
    if not entries:
        raise _not_registered(did)
    return entries


def _last_operation(request: web.Request, did: Did) -> PlcOperation:
    operation = request.app[_STORE].find_last(did)
    if operation is None:
        raise _not_registered(did)
    return operation


def _current(request: web.Request, did: Did) -> PlcData:
    data = _last_operation(request, did).data
    if data is None:
        raise web.HTTPNotFound(text=f"DID not available: {did}")
    return data


def _not_registered(did: Did) -> web.HTTPException:
    return web.HTTPNotFound(text=f"DID not registered: {did}")


def _count(text: str | None) -> int:
    if text is None:
        return _DEFAULT_EXPORT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_EXPORT:
        raise web.HTTPBadRequest(text=f"count must be a number from 1 to {MAX_EXPORT}")
    return int(text)


def _numbered(stored: StoredOperation) -> dict[str, Any]:
    line = stored.entry.to_json()
    del line["nullified"]
    return {"type": "indexed_op", **line, "seq": stored.seq}


def _json_lines(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"\n".join(orjson.dumps(line) for line in lines)


def _json(
    value: object, *, status: int = 200, content_type: str = "application/json"
) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, content_type=content_type, charset="utf-8"
    )
