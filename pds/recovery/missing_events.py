"""Emitting the events that the log lacks for accounts whose state or handle changed.

A row of `account.sqlite` is written first and its event second, so a crash between them leaves
consumers with the old state. Accounts that the log has never named get no events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from pds.lifecycle.states import EVENT_KINDS, state_events
from sequencer.told import ToldState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pds.accounts.account import ActorAccount
    from pds.context import AppContext
    from sequencer.events import EventType

_log = structlog.get_logger(__name__)


async def add_missing_events(ctx: AppContext, accounts: Sequence[ActorAccount]) -> int:
    """Append the events of `accounts` that are missing from the log.

    Return how many accounts needed one.
    """
    states, handles = ctx.sequencer.log.all_states(), ctx.sequencer.log.all_handles()
    told = 0
    for account in accounts:
        kinds: set[EventType] = set()
        if states.get(account.did, _state_of(account)) != _state_of(account):
            # Consumers that learn of a reactivation may have missed changes made meanwhile.
            kinds |= EVENT_KINDS if account.active else {"account"}
        if handles.get(account.did) not in (None, account.handle):
            kinds.add("identity")
        if kinds:
            await _tell(ctx, account, kinds)
            told += 1
    return told


def _state_of(account: ActorAccount) -> ToldState:
    return ToldState(account.active, None if account.active else account.status.value)


async def _tell(ctx: AppContext, account: ActorAccount, kinds: set[EventType]) -> None:
    _log.info("appending events that the log lacks", did=account.did, events=sorted(kinds))
    try:
        events = await state_events(ctx, account.did, kinds)
    except (ActorStoreError, DatabaseError):
        # The damaged store is quarantined later; the other events do not need it.
        events = await state_events(ctx, account.did, kinds - {"sync"})
    await ctx.sequencer.append(*events)
