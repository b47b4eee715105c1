"""One client's share of the connections to other services, above all the AppView."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from pds.fairness.turns import Turns

AT_ONCE: Final = 256
"""Concurrent proxied requests to one of the operator's services, or to all others."""
EACH: Final = 32
"""The limit of these per account, and per address."""
LARGE_AT_ONCE: Final = 64
"""The limit of these whose bodies are forwarded while they still arrive."""
LARGE_EACH: Final = 4

_WAITING: Final = 1024
_WAIT_S: Final = 5.0
_OTHERS: Final = ""


class ProxyShare:
    """Turns at each of the operator's services, and at the services that clients name."""

    def __init__(self, askers: Callable[[], tuple[str, ...]]) -> None:
        self._askers = askers
        self._turns: dict[str, Turns] = {}
        self._large = _turns("large requests to other services", LARGE_AT_ONCE, LARGE_EACH)

    def turn(
        self, operators_url: str | None, *, large: bool = False
    ) -> AbstractAsyncContextManager[None]:
        """Hold a turn at a service in an `async with` block for one exchange. Raises `TooBusy`.

        `operators_url` is the URL of a service configured by the operator; None stands for all
        services named by clients. `large` is for a body that occupies the connection for as long as
        the client takes to send it.
        """
        turns = self._turns_at(_OTHERS if operators_url is None else operators_url)
        return self._large_turn(turns) if large else turns.turn(*self._askers())

    @asynccontextmanager
    async def _large_turn(self, turns: Turns) -> AsyncIterator[None]:
        holders = self._askers()
        # Always in this order, so that the two kinds of turns cannot deadlock.
        async with self._large.turn(*holders), turns.turn(*holders):
            yield

    def _turns_at(self, service: str) -> Turns:
        turns = self._turns.get(service)
        if turns is None:
            turns = self._turns[service] = _turns("requests to other services", AT_ONCE, EACH)
        return turns


def _turns(what: str, at_once: int, each: int) -> Turns:
    return Turns(
        what,
        at_once=at_once,
        each=each,
        waiting=_WAITING,
        waiting_each=2 * each,
        wait_s=_WAIT_S,
    )
