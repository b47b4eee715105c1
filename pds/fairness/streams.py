"""How many long answers there are at a time: downloads of repositories and blobs, the firehose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from pds.fairness.presence import while_present
from pds.fairness.slices import Slices
from pds.fairness.turns import Turns

REPOS: Final = 128
REPOS_EACH: Final = 16
"""Downloads of repositories in all and from one address. Each holds a connection to a database
with three files and a megabyte; four threads make their parts, so more at once are no faster."""
BLOBS: Final = 256
BLOBS_EACH: Final = 32
"""Downloads of blobs. Each holds a file."""
SUBSCRIBERS: Final = 1_000
SUBSCRIBERS_EACH: Final = 100
"""Consumers of the firehose. The whole network has some dozens of relays."""
_WAIT_S: Final = 10.0
_RETRY_AFTER_S: Final = 10
_WAITING_PER_TURN: Final = 4


class Streams:
    """The turns of one server."""

    def __init__(self) -> None:
        self.repos = _downloads("downloads of repositories", at_once=REPOS, each=REPOS_EACH)
        self.blobs = _downloads("downloads of blobs", at_once=BLOBS, each=BLOBS_EACH)
        self.subscribers = Turns(
            "consumers of the firehose",
            at_once=SUBSCRIBERS,
            each=SUBSCRIBERS_EACH,
            waiting=0,
            waiting_each=0,
            wait_s=0,
            retry_after_s=_RETRY_AFTER_S,
        )
        self.backfills = Slices()
        """For consumers that have yet to catch up, by their addresses."""


@asynccontextmanager
async def turn_for(request: web.BaseRequest, turns: Turns, *holders: str) -> AsyncIterator[None]:
    """Hold a turn within an `async with` block; the client must be there while it is waited for.

    Raises `TooBusy` and `ClientLeft` before the block.
    """
    async with AsyncExitStack() as stack:
        with while_present(request):
            await stack.enter_async_context(turns.turn(*holders))
        yield


def _downloads(what: str, *, at_once: int, each: int) -> Turns:
    return Turns(
        what,
        at_once=at_once,
        each=each,
        waiting=_WAITING_PER_TURN * at_once,
        waiting_each=_WAITING_PER_TURN * each,
        wait_s=_WAIT_S,
        retry_after_s=_RETRY_AFTER_S,
    )
