"""The pages of a repository: its collections, their records, and each record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from actor_store.reader import ActorStoreReader
from pds.reporting import format_size
from pds.translations.language import deferred as _
from pds.web.browse.record_blobs import shown_blobs
from pds.web.browse.record_list import RecordList, list_records, list_records_of_day
from pds.web.browse.record_view import view_of, view_of_large
from pds.web.browse.shelf import Shelf, ShownRepo
from pds.web.browse.times import time_of_tid
from pds.web.pages.errors import PageError
from pds.web.pages.public import PublicPages, PublicVisit
from pds.web.pages.strangers_texts import on_one_line
from repo.record import LARGE_BYTES

COLLECTIONS_ON_A_PAGE: Final = 200
"""People have some dozens."""
_QUICK_BYTES: Final = 4096
"""The view of a record of this size takes at most 7 ms, whatever is in it."""
FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "size": format_size,
    "segment": lambda text: quote(text, safe=":"),
    "tid_time": time_of_tid,
    "count": lambda number: f"{number:,}",
    "line": lambda text: on_one_line(text, 100),
}
"""What templates of this package use."""


def browse_routes(pages: PublicPages, shelf: Shelf) -> Iterator[web.RouteDef]:
    """Yield the pages below `/repo/`."""
    browse = BrowsePages(pages, shelf)
    yield pages.get("/repo/{did}", browse.show_repo)
    yield pages.get("/repo/{did}/{collection}", browse.show_collection)
    yield pages.get("/repo/{did}/{collection}/{rkey}", browse.show_record)


class BrowsePages:
    """Shows the repositories of a shelf."""

    def __init__(self, pages: PublicPages, shelf: Shelf) -> None:
        self._ctx = pages.ctx
        self._shelf = shelf

    async def show_repo(self, visit: PublicVisit) -> web.Response:
        """Return the page of a repository: what is known about it, and some of its collections."""
        repo = await self._find(visit)
        after = visit.request.query.get("after", "")

        def counts(actor: ActorStoreReader) -> list[tuple[str, int]]:
            found = actor.record.counts(after=after, limit=COLLECTIONS_ON_A_PAGE + 1)
            return list(found.items())

        # Counts every record of these collections, which may take a while.
        async with self._turn():
            found = await self._ctx.actor_store.read_in_thread(repo.did, counts)
        facts = await self._shelf.facts(visit, repo)
        collections = found[:COLLECTIONS_ON_A_PAGE]
        return self._page(
            visit,
            "repo",
            repo,
            facts=facts,
            collections=collections,
            is_first=not after,
            next_after=collections[-1][0] if len(found) > len(collections) else None,
        )

    async def show_collection(self, visit: PublicVisit) -> web.Response:
        """Return a page of the records of a collection."""
        repo, collection = await self._find(visit), visit.request.match_info["collection"]
        before, after = visit.request.query.get("before"), visit.request.query.get("after")
        day = _day_of(visit.request)

        def read(actor: ActorStoreReader) -> RecordList | None:
            # A link could show any words here as the name of a collection.
            if not actor.record.list_refs(collection, limit=1):
                return None
            if day is not None:
                return list_records_of_day(actor, collection, day)
            return list_records(actor, collection, before=before, after=after)

        async with self._turn():
            records = await self._ctx.actor_store.read_in_thread(repo.did, read)
        if records is None:
            raise PageError(404, _("There is no such collection in this repository."))
        return self._page(
            visit,
            "collection",
            repo,
            collection=collection,
            records=records,
            day=day,
            is_newest=records.lines and records.newer_than is None,
        )

    async def show_record(self, visit: PublicVisit) -> web.Response:
        """Return the page of a record."""
        repo = await self._find(visit)
        collection = visit.request.match_info["collection"]
        rkey = visit.request.match_info["rkey"]
        record = await self._ctx.actor_store.read(
            repo.did, lambda actor: actor.record.find(collection, rkey)
        )
        if record is None:
            raise PageError(404, _("There is no such record in this repository."))
        if len(record.block) < _QUICK_BYTES:
            view = view_of(record.block, rkey)
        else:
            make_view = view_of if len(record.block) < LARGE_BYTES else view_of_large
            async with self._turn():
                view = await asyncio.to_thread(make_view, record.block, rkey)
        return self._page(
            visit,
            "record",
            repo,
            collection=collection,
            rkey=rkey,
            record=record,
            view=view,
            blobs=await shown_blobs(self._shelf, repo, view.blobs),
        )

    async def _find(self, visit: PublicVisit) -> ShownRepo:
        return await self._shelf.find(visit.request.match_info["did"])

    def _page(self, visit: PublicVisit, name: str, repo: ShownRepo, **values: Any) -> web.Response:
        return visit.page(f"browse/{name}.html", repo=repo, **values)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn at work that takes long. Raises `TooBusy`."""
        async with self._ctx.large_work.wait(*self._ctx.askers()):
            yield


def _day_of(request: web.Request) -> date | None:
    """Return the requested day, if any."""
    asked = request.query.get("on")
    if not asked:
        return None
    try:
        return date.fromisoformat(asked)
    except ValueError as exc:
        raise PageError(400, _("This is not a date: write it as 2026-01-31.")) from exc
