"""Records in answers: as JSON, however large they are and whatever a stranger has put into them.

A page ends early where its records are large, and its cursor goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pds.fairness.presence import while_present
from repo import piecewise
from repo.record import LARGE_BYTES

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.records import RecordRef
    from pds.record_json import RecordJsonCache
    from pds.xrpc.call import XrpcCall

PAGE_BYTES: Final = 2 * 1024 * 1024
"""A page ends with the record that takes it beyond this; usual pages have a tenth of it."""
_STEP_BYTES: Final = 64 * 1024
"""Of blocks that are rendered in one step of the event loop."""


@dataclass(slots=True)
class FoundRecord:
    """A record as JSON, or else the block that it has yet to be made of."""

    ref: RecordRef
    json: bytes | None
    block: bytes = b""


def find_records(
    cache: RecordJsonCache, actor: ActorStoreReader, refs: Iterable[RecordRef]
) -> list[FoundRecord]:
    """The records of a page. Those that are small are rendered, as many as a step allows."""
    found = []
    size, room = 0, _STEP_BYTES
    for ref in refs:
        record = FoundRecord(ref, cache.find(ref.cid))
        found.append(record)
        if record.json is None:
            block = actor.repo.get_block(ref.cid)
            room -= len(block)
            if len(block) < LARGE_BYTES and room >= 0:
                record.json = cache.render(ref.cid, block)
            else:
                record.block = block
            size += len(block)
        else:
            size += len(record.json)
        if size >= PAGE_BYTES:
            break
    return found


async def views_of(call: XrpcCall, records: list[FoundRecord]) -> list[bytes]:
    """`{uri, cid, value}` of the records as JSON; of the first of them where they are large.

    Raises `TooBusy`, and `ClientLeft` if nobody waits for the answer any more.
    """
    if all(record.json is not None for record in records):
        return [_view(record.ref, record.json or b"") for record in records]
    with while_present(call.request):
        return await _render(call, records)


async def _render(call: XrpcCall, records: list[FoundRecord]) -> list[bytes]:
    ctx = call.ctx
    views = []
    size, room = 0, 0
    for record in records:
        ref, json, block = record.ref, record.json, record.block
        if json is None and len(block) < LARGE_BYTES:
            if room < len(block):
                await asyncio.sleep(0)
                room = _STEP_BYTES
            room -= len(block)
            json = ctx.record_json.render(ref.cid, block)
        elif json is None:
            json = await ctx.large_work.run(partial(piecewise.json_of, block), *call.holders)
        views.append(_view(ref, json))
        size += len(json)
        if size >= PAGE_BYTES:
            break
    return views


def _view(ref: RecordRef, json: bytes) -> bytes:
    # A URI and a CID hold nothing that JSON would escape.
    return b'{"uri":"%b","cid":"%b","value":%b}' % (ref.uri.encode(), str(ref.cid).encode(), json)
