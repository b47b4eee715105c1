"""Events that tell what state an account is in, for a log that may not."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from pds.lifecycle.states import account_event, current_sync_event
from repo.syntax import Did
from sequencer.events import Event, EventType, IdentityEvent

if TYPE_CHECKING:
    from pds.context import AppContext

EVERYTHING: Final[frozenset[EventType]] = frozenset(("identity", "account", "sync"))
"""What consumers are told of a new account; `#sync` stands for the first commit."""


async def state_events(ctx: AppContext, did: Did, kinds: AbstractSet[EventType]) -> list[Event]:
    """The events of `kinds` (identity, account, sync) for the state of `did` as it is now.

    Raises `RepoNotFound` and `ActorStoreDamaged`.
    """
    events: list[Event] = []
    if "identity" in kinds:
        account = ctx.accounts.get_account(did, include_inactive=True)
        events.append(IdentityEvent(did, account.handle))
    if "account" in kinds:
        events.append(account_event(ctx, did))
    if "sync" in kinds:
        events.append(await current_sync_event(ctx, did))
    return events
