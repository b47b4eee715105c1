"""Records in answers: as JSON, however large they are and whatever a stranger put into them.

A page ends early if its records are large, and its cursor continues from there. An odd record that
JSON cannot represent is replaced by the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, overload

from pds.fairness.presence import while_present
from repo import piecewise
from repo.dagcbor import InvalidDagCbor
from repo.record import LARGE_BYTES, InvalidRecord, has_map_form

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.record_json import RecordJsonCache
    from actor_store.records import RecordRef
    from pds.xrpc.call import ReadCall

PAGE_BYTES: Final = 2 * 1024 * 1024
"""A page ends with the record that takes it beyond this; usual pages have a tenth of it."""
_STEP_BYTES: Final = 64 * 1024
"""Blocks rendered in one step of the event loop."""


@dataclass(slots=True)
class _Waiting:
    """A record that is not rendered yet, or that follows such a record."""

    ref: RecordRef
    json: bytes | InvalidRecord | None
    block: bytes


@dataclass(slots=True)
class RecordPage:
    """The records of an answer, as far as they have been read."""

    refs: Sequence[RecordRef]
    views: list[bytes | InvalidRecord]
    """`{uri, cid, value}` of the first records, as JSON; of all once the page is complete."""
    waiting: list[_Waiting]

    @property
    def last(self) -> RecordRef | None:
        """The last record of a complete page."""
        return self.refs[len(self.views) - 1] if self.views else None


def read_page(
    cache: RecordJsonCache, actor: ActorStoreReader, refs: Sequence[RecordRef]
) -> RecordPage:
    """Read the records of a page, and render those that take little time."""
    views: list[bytes | InvalidRecord] = []
    waiting: list[_Waiting] = []
    size, room = 0, _STEP_BYTES
    for ref in refs:
        json: bytes | InvalidRecord | None = cache.find(ref.cid)
        block = b""
        if json is None:
            block = actor.repo.get_block(ref.cid)
            room -= len(block)
            if room >= 0 and len(block) < LARGE_BYTES:
                json = _render_small(cache, ref, block)
        if json is None or waiting:
            waiting.append(_Waiting(ref, json, block))
        else:
            views.append(view_of(ref, json))
        size += len(json if type(json) is bytes else block)
        if size >= PAGE_BYTES:
            break
    return RecordPage(refs, views, waiting)


async def complete(call: ReadCall, page: RecordPage) -> None:
    """Render the `waiting` records, if any, until the page is large enough.

    Raises `TooBusy`, and `ClientLeft` if nobody waits for the answer any more.
    """
    with while_present(call.request):
        await _render(call, page)


async def _render(call: ReadCall, page: RecordPage) -> None:
    ctx = call.ctx
    size, room = sum(len(view) for view in page.views if type(view) is bytes), 0
    for record in page.waiting:
        if page.views and size >= PAGE_BYTES:
            break
        ref, json, block = record.ref, record.json, record.block
        if json is None and len(block) < LARGE_BYTES:
            if room < len(block):
                await asyncio.sleep(0)
                room = _STEP_BYTES
            room -= len(block)
            json = _render_small(ctx.record_json, ref, block)
        elif json is None:
            json = await ctx.large_work.run(partial(_render_large, block), *ctx.askers())
        page.views.append(view_of(ref, json))
        size += len(json if type(json) is bytes else block)


def _render_small(cache: RecordJsonCache, ref: RecordRef, block: bytes) -> bytes | InvalidRecord:
    try:
        return cache.render(ref.cid, block)
    except InvalidRecord as exc:
        return exc


def _render_large(block: bytes) -> bytes | InvalidRecord:
    """Return the JSON of a large record; an odd one is not shown."""
    try:
        json = piecewise.json_of(block)
    except InvalidDagCbor as exc:
        return InvalidRecord(f"it is large, and odd: {exc}")
    return json if has_map_form(block) else InvalidRecord("it is not a map")


@overload
def view_of(ref: RecordRef, json: bytes) -> bytes: ...
@overload
def view_of(ref: RecordRef, json: bytes | InvalidRecord) -> bytes | InvalidRecord: ...
def view_of(ref: RecordRef, json: bytes | InvalidRecord) -> bytes | InvalidRecord:
    """Return `{uri, cid, value}` as JSON, or why there is none."""
    if isinstance(json, InvalidRecord):
        return json
    # A URI and a CID hold nothing that JSON would escape.
    return b'{"uri":"%b","cid":"%b","value":%b}' % (ref.uri.encode(), str(ref.cid).encode(), json)
