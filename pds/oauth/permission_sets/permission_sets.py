"""`PermissionSets`: the sets that scopes include, and the scopes of a token made with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import structlog

from database.connection import Database
from database.retry import write
from database.timestamps import Clock
from pds.oauth.errors import InvalidScope
from pds.oauth.permission_sets.document import (
    InvalidLexiconDocument,
    PermissionSet,
    check_document,
    permission_set_of,
)
from pds.oauth.permission_sets.errors import LexiconUnavailable
from pds.oauth.permission_sets.lexicon_table import LexiconTable
from pds.oauth.permission_sets.sources import LexiconSource
from pds.oauth.scopes.expansion import expand, includes_of

MAX_SETS: Final = 32
"""Permission sets in one list of scopes."""
MAX_SCOPE_CHARS: Final = 64 * 1024
"""The scopes of a token, with what sets list."""

_log = structlog.get_logger(__name__)


class PermissionSets:
    """Permission sets, kept for five minutes. One that cannot be had again is used as it was."""

    def __init__(self, db: Database, source: LexiconSource, *, clock: Clock = time.time) -> None:
        self._db = db
        self._table = LexiconTable(db)
        self._source = source
        self._clock = clock
        self._fetches: dict[str, asyncio.Task[dict[str, Any] | None]] = {}

    async def find_all(self, scope: str) -> Mapping[str, PermissionSet]:
        """Return the sets that a list of scopes includes, by NSID.

        Raises `InvalidScope`: one cannot be found, is no permission set, or there are too many.
        """
        includes = includes_of(scope)
        if not includes:
            return {}
        if len(includes) > MAX_SETS:
            raise InvalidScope(f"The scope includes more than {MAX_SETS} permission sets")
        nsids = tuple(dict.fromkeys(include.nsid for include in includes))
        found = await asyncio.gather(*map(self._find, nsids), return_exceptions=True)
        sets: dict[str, PermissionSet] = {}
        for nsid, one in zip(nsids, found, strict=True):
            if isinstance(one, BaseException):
                raise one
            sets[nsid] = one
        return sets

    async def expand(self, scope: str) -> str:
        """Return the scopes of a token: what sets list, in place of each `include:`.

        Raises `InvalidScope` as `find_all` does, and if there is too much.
        """
        sets = await self.find_all(scope)
        if not sets:
            return scope
        permissions = {nsid: one.permissions for nsid, one in sets.items()}
        # Hostile sets list so much that it takes a quarter of a second.
        expanded = await asyncio.to_thread(expand, scope, permissions)
        if len(expanded) > MAX_SCOPE_CHARS:
            raise InvalidScope("The permission sets of the scope list too much")
        return expanded

    async def close(self) -> None:
        """End the fetches that are under way."""
        for task in (fetches := tuple(self._fetches.values())):
            task.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    async def _find(self, nsid: str) -> PermissionSet:
        stored = self._table.find(nsid)
        if stored is not None and stored.is_fresh(self._clock()):
            document = stored.document
        else:
            document = await self._fetch_once(nsid, None if stored is None else stored.document)
        if document is None:
            raise InvalidScope(f"Could not resolve Lexicon for NSID ({nsid})")
        try:
            return permission_set_of(check_document(document, nsid))
        except InvalidLexiconDocument as exc:
            # The reference has stored it, which reads Lexicons by rules of its own.
            raise InvalidScope(f"Invalid Lexicon document ({nsid}): {exc}") from exc

    async def _fetch_once(self, nsid: str, known: dict[str, Any] | None) -> dict[str, Any] | None:
        """Fetch a Lexicon, or wait for a fetch of it that is under way."""
        task = self._fetches.get(nsid)
        if task is None:
            task = asyncio.create_task(self._fetch(nsid, known))
            self._fetches[nsid] = task
            task.add_done_callback(partial(self._end, nsid))
        return await asyncio.shield(task)

    def _end(self, nsid: str, task: asyncio.Task[dict[str, Any] | None]) -> None:
        del self._fetches[nsid]
        if not task.cancelled():
            task.exception()  # Whoever waited for it may have left.

    async def _fetch(self, nsid: str, known: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            uri, document = await self._source.fetch(nsid)
        except LexiconUnavailable as exc:
            _log.info("a permission set cannot be had", nsid=nsid, reason=exc.reason)
            await write(self._db, lambda: self._table.note_failed(nsid, self._clock()))
            return known
        await write(self._db, lambda: self._table.note_found(nsid, uri, document, self._clock()))
        return document
