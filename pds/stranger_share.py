"""What the requests have a share of that go to hosts which strangers name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from pds.fairness.turns import Turns

LOOKUPS: Final = 128
LOOKUPS_EACH: Final = 32
FETCHES: Final = 100
FETCHES_EACH: Final = 16
_WAIT_S: Final = 2.0


class StrangerShare:
    """Turns of those who ask, and of the domains that are asked: see `identity.share.Share`."""

    def __init__(self, turns: Turns, askers: Callable[[], tuple[str, ...]]) -> None:
        self._turns = turns
        self._askers = askers

    def turn(self, domain: str, /) -> AbstractAsyncContextManager[None]:
        """A turn of the domain and of whoever asks now. Raises `TooBusy`."""
        # An address may be both asked and asking.
        return self._turns.turn(f"host {domain}", *self._askers())


def lookup_turns() -> Turns:
    """Turns at asking name servers, for one kind of record each."""
    return Turns(
        "looking up names",
        at_once=LOOKUPS,
        each=LOOKUPS_EACH,
        waiting=4 * LOOKUPS,
        waiting_each=2 * LOOKUPS_EACH,
        wait_s=_WAIT_S,
    )


def fetch_turns() -> Turns:
    """Turns at fetching the documents of DIDs and handles from other hosts."""
    return Turns(
        "asking other hosts",
        at_once=FETCHES,
        each=FETCHES_EACH,
        waiting=4 * FETCHES,
        waiting_each=4 * FETCHES_EACH,
        wait_s=_WAIT_S,
    )
