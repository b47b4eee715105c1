"""Shares of the requests to hosts named by strangers."""

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
"""Less than the number of connections for them, so that new accounts always find one."""
_WAIT_S: Final = 2.0


class StrangerShare:
    """Turns by requester and by requested domain: see `identity.share.Share`."""

    def __init__(self, turns: Turns, askers: Callable[[], tuple[str, ...]]) -> None:
        self._turns = turns
        self._askers = askers

    def turn(self, domain: str, /) -> AbstractAsyncContextManager[None]:
        """Take a turn for the domain, if any, and the current requester. Raises `TooBusy`."""
        # The prefix, because one address may be both requester and requested.
        asked = (f"host {domain}",) if domain else ()
        return self._turns.turn(*asked, *self._askers())


def lookup_turns() -> Turns:
    """Create the turns for querying name servers, one per record type."""
    return _turns("looking up names", LOOKUPS, LOOKUPS_EACH)


def fetch_turns() -> Turns:
    """Create the turns for fetching DID documents and handles from hosts chosen by strangers."""
    return _turns("asking other hosts", FETCHES, FETCHES_EACH)


def plc_turns() -> Turns:
    """Create the turns for fetching DID documents from the PLC directory."""
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
