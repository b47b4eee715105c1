"""Pages of the read-only server: its repositories and their contents. No scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

from aiohttp import hdrs, web

from actor_store.errors import ActorStoreDamaged
from actor_store.reader import ActorStoreReader
from database.errors import DatabaseError
from pds.fairness.turns import TooBusy
from pds.readonly.archive import ARCHIVE
from pds.readonly.car_files import shown_path
from pds.readonly.catalog import CatalogedRepo
from pds.readonly.record_blobs import shown_blobs
from pds.readonly.record_list import RecordList, list_records, list_records_of_day
from pds.readonly.record_view import view_of, view_of_large
from pds.readonly.times import time_of_tid
from pds.reporting import counted, format_size
from pds.web.context_keys import READ_CONTEXT
from pds.web.pages.rendering import file_handler, page_headers, templates_of
from repo.record import LARGE_BYTES

T = TypeVar("T")

REPOS_ON_A_PAGE: Final = 100
ASKED_CHARACTERS: Final = 200
"""The longest search text; no handle or name is longer."""
_PROBLEMS_SHOWN: Final = 20
_HEADERS: Final = page_headers("img-src 'self'", "form-action 'self'")
_ERRORS: Final = {
    400: web.HTTPBadRequest,
    404: web.HTTPNotFound,
    503: web.HTTPServiceUnavailable,
}
_templates: Final = templates_of("pds.readonly")


def page_routes() -> Iterator[web.RouteDef]:
    """The pages at `/` and below `/repo/`."""
    yield web.get("/", _front_page)
    yield web.get("/style.css", file_handler("style.css", "text/css", _HEADERS))
    icon = file_handler("icon.svg", "image/svg+xml", _HEADERS, package="pds.readonly")
    yield web.get("/icon.svg", icon)
    yield web.get("/repo/{did}", _repo_page)
    yield web.get("/repo/{did}/{collection}", _collection_page)
    yield web.get("/repo/{did}/{collection}/{rkey}", _record_page)


async def _front_page(request: web.Request) -> web.Response:
    archive, start = request.app[ARCHIVE], request.query.get("after", "")
    catalog = archive.catalog
    asked = request.query.get("q", "").strip().removeprefix("@")[:ASKED_CHARACTERS]
    if asked:
        search = partial(catalog.search, asked, limit=REPOS_ON_A_PAGE + 1, after=start)
        async with _turn(request):
            repos = await asyncio.to_thread(search)
    else:
        repos = catalog.repos(limit=REPOS_ON_A_PAGE + 1, after=start)
    return _page(
        "index.html",
        asked=asked,
        hostname=request.app[READ_CONTEXT].settings.hostname,
        total=catalog.count_repos(),
        waiting=archive.waiting(),
        repos=repos[:REPOS_ON_A_PAGE],
        is_first=not start,
        after=repos[REPOS_ON_A_PAGE - 1].did if len(repos) > REPOS_ON_A_PAGE else None,
        problems=catalog.problems(limit=_PROBLEMS_SHOWN),
    )


async def _repo_page(request: web.Request) -> web.Response:
    repo = _find_repo(request)

    def counts(actor: ActorStoreReader) -> dict[str, int]:
        return actor.record.counts()

    # Counts every record of the repository, which may take a while.
    async with _turn(request):
        collections = await _read(request, repo, counts, in_thread=True)
    return _page("repo.html", repo=repo, collections=collections)


async def _collection_page(request: web.Request) -> web.Response:
    repo, collection = _find_repo(request), request.match_info["collection"]
    before, after = request.query.get("before"), request.query.get("after")
    day = _day_of(request)

    def read(actor: ActorStoreReader) -> RecordList:
        if day is not None:
            return list_records_of_day(actor, collection, day)
        return list_records(actor, collection, before=before, after=after)

    async with _turn(request):
        records = await _read(request, repo, read, in_thread=True)
    if not records.lines and before is None:
        raise _not_found("There is no such collection in this repository.")
    return _page(
        "collection.html",
        repo=repo,
        collection=collection,
        records=records,
        day=day,
        is_newest=records.lines and records.newer_than is None,
    )


async def _record_page(request: web.Request) -> web.Response:
    repo = _find_repo(request)
    collection, rkey = request.match_info["collection"], request.match_info["rkey"]
    record = await _read(request, repo, lambda actor: actor.record.find(collection, rkey))
    if record is None:
        raise _not_found("There is no such record in this repository.")
    if len(record.block) < LARGE_BYTES:
        view = view_of(record.block, rkey)
    else:
        async with _turn(request):
            view = await asyncio.to_thread(view_of_large, record.block, rkey)
    return _page(
        "record.html",
        repo=repo,
        collection=collection,
        rkey=rkey,
        record=record,
        view=view,
        blobs=await shown_blobs(request.app[ARCHIVE].blobs, repo.did, view.blobs),
    )


async def _read(
    request: web.Request,
    repo: CatalogedRepo,
    fn: Callable[[ActorStoreReader], T],
    *,
    in_thread: bool = False,
) -> T:
    store = request.app[READ_CONTEXT].actor_store
    try:
        return await (store.read_in_thread if in_thread else store.read)(repo.did, fn)
    except (ActorStoreDamaged, DatabaseError) as exc:
        raise _error(503, "This repository cannot be read just now.") from exc


@asynccontextmanager
async def _turn(request: web.Request) -> AsyncIterator[None]:
    """Wait for a turn at work that takes long."""
    ctx = request.app[READ_CONTEXT]
    try:
        async with ctx.large_work.wait(*ctx.askers()):
            yield
    except TooBusy as exc:
        raise _error(503, str(exc)) from exc


def _day_of(request: web.Request) -> date | None:
    """Return the requested day, if any."""
    asked = request.query.get("on")
    if not asked:
        return None
    try:
        return date.fromisoformat(asked)
    except ValueError as exc:
        raise _error(400, "This is not a date: write it as 2026-01-31.") from exc


def _find_repo(request: web.Request) -> CatalogedRepo:
    repo = request.app[ARCHIVE].catalog.find_repo(request.match_info["did"])
    if repo is None:
        raise _not_found("There is no such repository here.")
    return repo


def _page(template: str, **values: Any) -> web.Response:
    text = _templates.get_template(template).render(**values)
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=_HEADERS)


def _not_found(message: str) -> web.HTTPException:
    return _error(404, message)


def _error(status: int, message: str) -> web.HTTPException:
    text = _templates.get_template("message.html").render(message=message)
    error = _ERRORS[status](text=text, headers=_HEADERS)
    error.headers[hdrs.CONTENT_TYPE] = "text/html; charset=utf-8"
    return error


_templates.filters.update(
    size=format_size,
    records=lambda number: counted(number, "record"),
    segment=lambda text: quote(text, safe=":"),
    shown=shown_path,
    tid_time=time_of_tid,
)
