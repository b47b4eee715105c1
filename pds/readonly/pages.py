"""The page at `/` of the read-only server, and what it knows about each repository."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from aiohttp import web

from actor_store.media_type import sniff
from pds.read_context import ReadContext
from pds.readonly.archive import Archive
from pds.readonly.car_files import shown_path
from pds.readonly.catalog import CatalogedRepo
from pds.reporting import counted, format_size
from pds.translations.language import deferred as _
from pds.web.browse.pages import FILTERS, browse_routes
from pds.web.browse.shelf import Fact, ShownRepo
from pds.web.browse.times import time_of_tid
from pds.web.pages.errors import PageError
from pds.web.pages.public import PublicPages, PublicVisit
from pds.web.pages.style import style_routes
from repo.cid import Cid

REPOS_ON_A_PAGE: Final = 100
ASKED_CHARACTERS: Final = 200
"""The longest search text; no handle or name is longer."""
PACKAGES: Final = {"browse": "pds.web.browse", "archive": "pds.readonly"}
_PROBLEMS_SHOWN: Final = 20
_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    **FILTERS,
    "shown": shown_path,
    "records": partial(counted, noun="record"),
}


def page_routes(ctx: ReadContext, archive: Archive) -> Iterator[web.RouteDef]:
    """Yield the pages at `/` and below `/repo/`, and what they load."""
    pages = PublicPages(ctx, PACKAGES, home=_("All repositories"), filters=_FILTERS)
    yield pages.get("/", FrontPage(ctx, archive).show)
    yield from browse_routes(pages, ArchiveShelf(archive))
    yield from style_routes(ctx.settings.branding, ctx.fetch_http)


class FrontPage:
    """The list of repositories, and the search in it."""

    def __init__(self, ctx: ReadContext, archive: Archive) -> None:
        self._ctx = ctx
        self._archive = archive

    async def show(self, visit: PublicVisit) -> web.Response:
        """Return the page."""
        query, catalog = visit.request.query, self._archive.catalog
        start = query.get("after", "")
        asked = query.get("q", "").strip().removeprefix("@")[:ASKED_CHARACTERS]
        if asked:
            search = partial(catalog.search, asked, limit=REPOS_ON_A_PAGE + 1, after=start)
            async with self._ctx.large_work.wait(*self._ctx.askers()):
                repos = await asyncio.to_thread(search)
        else:
            repos = catalog.repos(limit=REPOS_ON_A_PAGE + 1, after=start)
        return visit.page(
            "archive/index.html",
            asked=asked,
            hostname=self._ctx.settings.hostname,
            total=catalog.count_repos(),
            waiting=self._archive.waiting(),
            repos=repos[:REPOS_ON_A_PAGE],
            is_first=not start,
            after=repos[REPOS_ON_A_PAGE - 1].did if len(repos) > REPOS_ON_A_PAGE else None,
            problems=catalog.problems(limit=_PROBLEMS_SHOWN),
        )


class ArchiveShelf:
    """The repositories that were loaded from CAR files."""

    shows_pictures = True

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def find(self, did: str) -> ShownRepo:
        """See `Shelf`."""
        repo = self._find(did)
        return ShownRepo(repo.did, repo.handle, repo.name)

    async def facts(self, visit: PublicVisit, repo: ShownRepo) -> list[Fact]:
        """See `Shelf`."""
        found, gettext = self._find(repo.did), visit.language.gettext
        committed_at = time_of_tid(found.rev)
        is_valid = found.signature == "valid"
        unchecked = gettext("not checked: the DID document was not available")
        return [
            Fact(gettext("Records"), f"{found.records:,}"),
            Fact(
                gettext("Last commit"),
                "" if committed_at is None else f"{committed_at:%Y-%m-%d %H:%M} UTC",
                found.rev,
            ),
            Fact(gettext("Signature"), gettext("verified") if is_valid else unchecked),
            Fact(
                gettext("File"), f"{shown_path(found.path.name)}, {format_size(found.size_bytes)}"
            ),
        ]

    async def media_type(self, repo: ShownRepo, cid: Cid) -> str | None:
        """See `Shelf`."""
        found = await self._archive.blobs.open(repo.did, cid)
        if found is None:
            return None
        await found.file.close()
        return sniff(found.head) or "application/octet-stream"

    def _find(self, did: str) -> CatalogedRepo:
        repo = self._archive.catalog.find_repo(did)
        if repo is None:
            raise PageError(404, _("There is no such repository here."))
        return repo
