"""Pages of the read-only server: which repositories there are, and what is in them. No scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import jinja2
import orjson
from aiohttp import hdrs, web

from actor_store.errors import ActorStoreDamaged
from actor_store.reader import ActorStoreReader
from database.errors import DatabaseError
from pds.context import CONTEXT
from pds.readonly.archive import ARCHIVE
from pds.readonly.catalog import CatalogedRepo
from repo import dagcbor
from repo.datamodel import iter_blob_refs, json_default
from repo.tid import decode_tid, is_tid

T = TypeVar("T")

REPOS_ON_A_PAGE: Final = 100
RECORDS_ON_A_PAGE: Final = 50
_PREVIEW_CHARACTERS: Final = 200
_PROBLEMS_SHOWN: Final = 20
_PREVIEW_FIELDS: Final = ("text", "displayName", "name", "title", "description")
_HEADERS: Final = {
    # Nothing of what strangers wrote can run here, whatever it is.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_templates: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("pds.readonly"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record in a list."""

    rkey: str
    preview: str
    created_at: str


def add_pages(app: web.Application) -> None:
    """Serve the pages at `/` and below `/repo/`."""
    app.router.add_get("/", _front_page)
    app.router.add_get("/style.css", _style)
    app.router.add_get("/repo/{did}", _repo_page)
    app.router.add_get("/repo/{did}/{collection}", _collection_page)
    app.router.add_get("/repo/{did}/{collection}/{rkey}", _record_page)


async def _front_page(request: web.Request) -> web.Response:
    catalog = request.app[ARCHIVE].catalog
    repos = catalog.repos(limit=REPOS_ON_A_PAGE + 1, after=request.query.get("after", ""))
    return _page(
        "index.html",
        hostname=request.app[CONTEXT].settings.hostname,
        total=catalog.count_repos(),
        repos=repos[:REPOS_ON_A_PAGE],
        after=repos[REPOS_ON_A_PAGE - 1].did if len(repos) > REPOS_ON_A_PAGE else None,
        problems=catalog.problems(limit=_PROBLEMS_SHOWN),
    )


async def _repo_page(request: web.Request) -> web.Response:
    repo = _find_repo(request)

    def counts(actor: ActorStoreReader) -> dict[str, int]:
        return actor.record.counts()

    # Counts every record of the repository: that may take a while.
    collections = await _read(request, repo, counts, in_thread=True)
    return _page("repo.html", repo=repo, collections=collections)


async def _collection_page(request: web.Request) -> web.Response:
    repo, collection = _find_repo(request), request.match_info["collection"]
    before = request.query.get("before")

    def lines(actor: ActorStoreReader) -> list[RecordLine]:
        refs = actor.record.list_refs(
            collection, limit=RECORDS_ON_A_PAGE + 1, cursor=before, reverse=False
        )
        blocks = actor.repo.find_blocks(ref.cid for ref in refs)
        return [_line(ref.rkey, blocks[ref.cid]) for ref in refs]

    found = await _read(request, repo, lines)
    if not found and before is None:
        raise _not_found("There is no such collection in this repository.")
    shown = found[:RECORDS_ON_A_PAGE]
    more = shown[-1].rkey if len(found) > RECORDS_ON_A_PAGE else None
    return _page("collection.html", repo=repo, collection=collection, records=shown, before=more)


async def _record_page(request: web.Request) -> web.Response:
    repo = _find_repo(request)
    collection, rkey = request.match_info["collection"], request.match_info["rkey"]
    record = await _read(request, repo, lambda actor: actor.record.find(collection, rkey))
    if record is None:
        raise _not_found("There is no such record in this repository.")
    value = dagcbor.decode_trusted(record.block)
    json = orjson.dumps(value, default=json_default, option=orjson.OPT_INDENT_2).decode()
    return _page(
        "record.html",
        repo=repo,
        collection=collection,
        rkey=rkey,
        record=record,
        json=json,
        blobs=[(str(ref.cid), ref.mime_type) for ref in iter_blob_refs(value)],
    )


async def _style(_request: web.Request) -> web.Response:
    source, _, _ = _templates.loader.get_source(_templates, "style.css")  # type: ignore[union-attr]
    return web.Response(text=source, content_type="text/css", headers=_HEADERS)


async def _read(
    request: web.Request,
    repo: CatalogedRepo,
    fn: Callable[[ActorStoreReader], T],
    *,
    in_thread: bool = False,
) -> T:
    store = request.app[CONTEXT].actor_store
    try:
        return await (store.read_in_thread if in_thread else store.read)(repo.did, fn)
    except (ActorStoreDamaged, DatabaseError) as exc:
        raise _error(503, "This repository cannot be read just now.") from exc


def _find_repo(request: web.Request) -> CatalogedRepo:
    repo = request.app[ARCHIVE].catalog.find_repo(request.match_info["did"])
    if repo is None:
        raise _not_found("There is no such repository here.")
    return repo


def _line(rkey: str, block: bytes) -> RecordLine:
    value = dagcbor.decode_trusted(block)
    record: Mapping[str, Any] = value if isinstance(value, dict) else {}
    texts = (record.get(name) for name in _PREVIEW_FIELDS)
    preview = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    if preview is None:
        preview = orjson.dumps(value, default=json_default).decode()
    created_at = record.get("createdAt")
    return RecordLine(
        rkey,
        preview[:_PREVIEW_CHARACTERS],
        created_at[:10] if isinstance(created_at, str) else _date_of(rkey),
    )


def _page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    text = _templates.get_template(template).render(**values)
    # Names of files need not be UTF-8.
    body = text.encode("utf-8", "backslashreplace")
    return web.Response(
        body=body, status=status, content_type="text/html", charset="utf-8", headers=_HEADERS
    )


def _not_found(message: str) -> web.HTTPException:
    return _error(404, message)


def _error(status: int, message: str) -> web.HTTPException:
    text = _templates.get_template("error.html").render(message=message)
    kind = web.HTTPNotFound if status == 404 else web.HTTPServiceUnavailable
    error = kind(text=text, headers=_HEADERS)
    error.headers[hdrs.CONTENT_TYPE] = "text/html; charset=utf-8"
    return error


def _date_of(tid: str) -> str:
    """The day of a TID, or nothing for what is none."""
    if not is_tid(tid):
        return ""
    micros, _ = decode_tid(tid)
    try:
        return datetime.fromtimestamp(micros / 1_000_000, UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return ""


def _size(size_bytes: int) -> str:
    """A size for people: `1.2 MB`."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


_templates.filters.update(date=_date_of, size=_size, segment=lambda text: quote(text, safe=":"))
