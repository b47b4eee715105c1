"""Shares of the requests to hosts that strangers name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from pds.fairness.turns import Turns

LOOKUPS: Final = 128
LOOKUPS_EACH: Final = 32
FETCHES: Final = 100
FETCHES_EACH: Final = 16
PLC_FETCHES: Final = 64
"""Fewer than the connections to the directory, so that new accounts always find a free one."""
_WAIT_S: Final = 2.0


class StrangerShare:
    """Turns counted for both the askers and the requested domain: see `identity.share.Share`."""

    def __init__(self, turns: Turns, askers: Callable[[], tuple[str, ...]]) -> None:
        self._turns = turns
        self._askers = askers

    def turn(self, domain: str, /) -> AbstractAsyncContextManager[None]:
        """Hold a turn for the domain, if not empty, and the current askers. Raises `TooBusy`."""
        # Prefixed, because an address may be both asker and requested host.
        asked = (f"host {domain}",) if domain else ()
        return self._turns.turn(*asked, *self._askers())


def lookup_turns() -> Turns:
    """Make the turns at DNS queries, one record type each."""
    return _turns("looking up names", LOOKUPS, LOOKUPS_EACH)


def fetch_turns() -> Turns:
    """Make the turns at fetching documents of DIDs and handles from hosts that strangers choose."""
    return _turns("asking other hosts", FETCHES, FETCHES_EACH)


def plc_turns() -> Turns:
    """Make the turns at fetching DID documents from the PLC directory."""
    return _turns("asking the PLC directory", PLC_FETCHES, FETCHES_EACH)


def _turns(what: str, at_once: int, each: int) -> Turns:
    return Turns(
        what,
        at_once=at_once,
        each=each,
        waiting=4 * at_once,
        waiting_each=4 * each,
        wait_s=_WAIT_S,
    )
