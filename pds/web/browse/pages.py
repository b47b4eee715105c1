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
from repo.record import LARGE_BYTES

FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "size": format_size,
    "segment": lambda text: quote(text, safe=":"),
    "tid_time": time_of_tid,
    "count": lambda number: f"{number:,}",
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
        """Return the page of a repository: what is known about it, and its collections."""
        repo = await self._find(visit)

        def counts(actor: ActorStoreReader) -> dict[str, int]:
            return actor.record.counts()

        # Counts every record of the repository, which may take a while.
        async with self._turn():
            collections = await self._ctx.actor_store.read_in_thread(repo.did, counts)
        facts = await self._shelf.facts(visit, repo)
        return self._page(visit, "repo", repo, facts=facts, collections=collections)

    async def show_collection(self, visit: PublicVisit) -> web.Response:
        """Return a page of the records of a collection."""
        repo, collection = await self._find(visit), visit.request.match_info["collection"]
        before, after = visit.request.query.get("before"), visit.request.query.get("after")
        day = _day_of(visit.request)

        def read(actor: ActorStoreReader) -> RecordList:
            if day is not None:
                return list_records_of_day(actor, collection, day)
            return list_records(actor, collection, before=before, after=after)

        async with self._turn():
            records = await self._ctx.actor_store.read_in_thread(repo.did, read)
        if not records.lines and before is None:
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
        if len(record.block) < LARGE_BYTES:
            view = view_of(record.block, rkey)
        else:
            async with self._turn():
                view = await asyncio.to_thread(view_of_large, record.block, rkey)
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
