"""`/_holdfast/blob-stores/{disk or s3}`: what is in a store, and moving everything to one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from actor_store.blob_store.moving import MovingBlobStore
from actor_store.blob_store.places import Place
from pds.xrpc.errors import invalid_request

if TYPE_CHECKING:
    from actor_store.blob_store.places import MovableStore
    from pds.context import AppContext
    from pds.pending.blob_movers import MoreBlobs
    from pds.web.operator.call import OperatorCall

_ListSizes: TypeAlias = "Callable[[str], Awaitable[Sequence[tuple[str, int]]]]"

_PAGE: Final = 1000
_COUNTING_S: Final = 2.0
"""How long an answer counts; it has what was counted by then."""
_MAX_CURSOR_LENGTH: Final = 3000
_MAX_RUN_LENGTH: Final = 100
_MIN_BYTES_PER_S: Final = 1000


async def count_blobs(call: OperatorCall) -> dict[str, Any]:
    """GET: the number and size of the blobs in each place, as far as two seconds allow.

    `cursor` goes on after an earlier answer; the last answer has none.
    """
    store = _find_store(call.ctx, call.names["store"])
    listings = _listings(call.ctx, store)
    first, after = _parse_cursor(call.query.get("cursor", ""), listings)
    until_s = time.monotonic() + _COUNTING_S
    counts = {place: {"count": 0, "bytes": 0} for place in listings}
    for place, list_sizes in list(listings.items())[list(listings).index(first) :]:
        while page := await list_sizes(after):
            after = page[-1][0]
            counts[place]["count"] += len(page)
            counts[place]["bytes"] += sum(size for _, size in page)
            if time.monotonic() > until_s:
                return {"blobs": counts, "cursor": f"{place}/{after}"}
        after = ""
    return {"blobs": counts}


async def move_blobs(call: OperatorCall) -> dict[str, Any]:
    """POST: continue the move to this store for some seconds, and return its progress.

    `run` is that of the last answer, if there was one; `bytesPerSecond` limits the pace.
    """
    body = await call.json()
    if not isinstance(body, dict):
        raise invalid_request("A JSON object is expected")
    store, to = _find_store(call.ctx, call.names["store"]), call.ctx.settings.blobstore.move_to
    move = call.ctx.blob_move
    if move is None or not isinstance(call.ctx.blob_store, MovingBlobStore):
        raise invalid_request(
            "This server was started without PDS_BLOBSTORE_MOVE_TO: set it and restart the server"
        )
    if store is not call.ctx.blob_store.new:
        raise invalid_request(
            f"This server was started with PDS_BLOBSTORE_MOVE_TO={to}: change it and restart the "
            "server to move the other way"
        )
    run = await move.go_on(_parse_run(body), bytes_per_s=_parse_pace(body))
    return {
        "run": run.id,
        "state": run.state,
        "failure": run.failure or None,
        "movedBlobs": run.moved_blobs,
        "movedBytes": run.moved_bytes,
        "copiedBytes": run.copied_bytes,
        "leftCount": run.left_count,
        "left": [left.to_json() for left in run.left],
    }


def _find_store(ctx: AppContext, name: str) -> MovableStore:
    homes, both = ctx.settings.blob_homes, ctx.blob_store
    if name not in homes:
        raise invalid_request(
            f"This server was started with blobs {'on the disk' if name == 's3' else 'in S3'} "
            "only: if the settings name both places now, restart it"
            if name in ("disk", "s3")
            else "The store must be disk or s3"
        )
    if not isinstance(both, MovingBlobStore):
        return both
    return both.new if name == homes[0] else both.old


def _listings(ctx: AppContext, store: MovableStore) -> dict[str, _ListSizes]:
    """Return what lists a page of each place of a store, as cursors and sizes."""

    async def of_accounts(place: Place, after: str) -> Sequence[tuple[str, int]]:
        page = await store.places.list_blobs(place, after=after, limit=_PAGE)
        return [(blob.cursor, blob.size) for blob in page]

    async def of_more(more: MoreBlobs, after: str) -> Sequence[tuple[str, int]]:
        return await more.list_sizes(is_old=is_old, after=after, limit=_PAGE)

    is_old = isinstance(ctx.blob_store, MovingBlobStore) and store is ctx.blob_store.old
    listings: dict[str, _ListSizes] = {place.value: partial(of_accounts, place) for place in Place}
    return listings | {more.place: partial(of_more, more) for more in ctx.more_blobs}


def _parse_cursor(cursor: str, listings: Mapping[str, _ListSizes]) -> tuple[str, str]:
    place, _, after = cursor.partition("/")
    if not cursor:
        return next(iter(listings)), ""
    if place not in listings or len(after) > _MAX_CURSOR_LENGTH:
        raise invalid_request("Malformed cursor")
    return place, after


def _parse_run(body: dict[str, Any]) -> str | None:
    run = body.get("run")
    if run is not None and not (isinstance(run, str) and len(run) <= _MAX_RUN_LENGTH):
        raise invalid_request("run must be that of an earlier answer")
    return run


def _parse_pace(body: dict[str, Any]) -> float | None:
    match body.get("bytesPerSecond"):
        case None:
            return None
        case int(pace) if not isinstance(pace, bool) and _MIN_BYTES_PER_S <= pace < 2**53:
            return pace
        case _:
            raise invalid_request(f"bytesPerSecond must be a number from {_MIN_BYTES_PER_S}")
