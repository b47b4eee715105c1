"""Changes of an account's state, including deletion, and the events that announce them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from identity.did_document import DidDocument
from identity.plc import PlcError
from identity.resolver import DidResolutionError
from pds.accounts.account import AccountStatus, status_of
from pds.accounts.errors import AccountNotFound
from pds.config.addresses import is_same_server
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.changes import finish_deletion, journaled
from pds.lifecycle.errors import DidMismatch, HoldAccount
from pds.peers.calls import by_owner
from pds.peers.locks import account_lock
from pds.pending.journal import Entry
from pds.repos.commits import sync_event
from repo.commit import Head
from repo.syntax import Did
from sequencer.events import AccountEvent, Event, EventType, IdentityEvent, SyncEvent
from sequencer.events import AccountStatus as EventStatus

if TYPE_CHECKING:
    from pds.context import AppContext

EVENT_KINDS: Final[frozenset[EventType]] = frozenset(("identity", "account", "sync"))
"""The events that announce a new account to consumers; `#sync` stands for the first commit."""


async def deactivate(
    ctx: AppContext, did: Did, *, delete_after: str | None = None, disconnect_apps: bool = False
) -> None:
    """Hide the account until it is activated. Raises `AccountNotFound` and `HoldAccount`.

    For `disconnect_apps` see `AccountStates.deactivate`.
    """
    _keep_hold(ctx, did)
    await ctx.accounts.states.deactivate(
        did, delete_after=delete_after, disconnect_apps=disconnect_apps
    )
    await ctx.sequencer.append(account_event(ctx, did))


async def activate(ctx: AppContext, did: Did) -> None:
    """End a deactivation, provided that the DID points here.

    Raises `AccountNotFound`, `DidMismatch` and `PlcError`.
    """
    absent = AccountNotFound("user not found")
    account = get_acting_account(ctx, did, hide_takendown=True, absent=absent)
    await check_did_points_here(ctx, did)
    # The lock keeps an import from replacing the commit before it is announced.
    async with account_lock(ctx, did):
        # Renewed first, so that an account without space for the commit stays unchanged.
        await renew_commit(ctx, did)
        await ctx.accounts.states.activate(did)
        await append_with_commit(
            ctx, did, account_event(ctx, did), IdentityEvent(did, account.handle)
        )


async def delete_account(ctx: AppContext, did: Did) -> None:
    """Delete account, repository, blobs and events, except the event announcing the deletion.

    Once begun, a deletion is always completed, if necessary at the next start. Raises
    `AccountNotFound` for a DID that has neither an account nor a repository here, `HoldAccount`,
    and `DatabaseError`, after which the deletion continues in the background.
    """
    _keep_hold(ctx, did)
    account = ctx.accounts.find_account(did, include_inactive=True)
    if account is None and not ctx.actor_store.exists(did):
        # The event would make consumers delete what this DID has on another server.
        raise AccountNotFound
    async with journaled(ctx, Entry("delete", did)):
        await finish_deletion(ctx, did)


async def takedown(ctx: AppContext, did: Did, *, ref: str | None) -> str:
    """Take the account down and end its sessions. Raises `AccountNotFound`.

    Return the stored reference, which is the one of the first takedown.
    """
    kept = await ctx.accounts.states.takedown(did, ref=ref)
    await ctx.sequencer.append(account_event(ctx, did))
    return kept


async def untakedown(ctx: AppContext, did: Did) -> None:
    """Reverse a takedown. Raises `AccountNotFound`."""
    await ctx.accounts.states.untakedown(did)
    await ctx.sequencer.append(account_event(ctx, did))


async def state_events(ctx: AppContext, did: Did, kinds: AbstractSet[EventType]) -> list[Event]:
    """Return the events of `kinds` (identity, account, sync) for the current state of `did`.

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


def account_event(ctx: AppContext, did: Did) -> AccountEvent:
    """Return the `#account` event for an account's current state."""
    status = status_of(ctx.accounts.find_account(did, include_inactive=True))
    if status is AccountStatus.ACTIVE:
        return AccountEvent(did, active=True)
    return AccountEvent(did, active=False, status=_EVENT_STATUS[status])


@by_owner
async def append_with_commit(ctx: AppContext, did: Did, *events: Event) -> None:
    """Append `events`, and after them the `#sync` of the current commit.

    Raises as `current_sync_event` and `Sequencer.append` do.
    """
    await ctx.sequencer.append(*events, await current_sync_event(ctx, did))


@by_owner
async def renew_commit(ctx: AppContext, did: Did) -> None:
    """Re-create the current commit if consumers could not verify it, as after an import.

    Raises `RepoNotFound`, `ActorStoreDamaged` and `QuotaExceeded`.
    """
    await _renewed_commit(ctx, did)


async def current_sync_event(ctx: AppContext, did: Did) -> SyncEvent:
    """Return the `#sync` event of a repository's current commit, to be appended without awaiting.

    The commit is re-created if consumers could not verify it, as after an import.
    """
    head, block = await _renewed_commit(ctx, did)
    return sync_event(did, cid=head.cid, rev=head.rev, block=block)


async def _renewed_commit(ctx: AppContext, did: Did) -> tuple[Head, bytes]:
    head, block = await ctx.actor_store.transact(
        did, lambda actor: (head := actor.renew_commit(), actor.repo.get_block(head.cid))
    )
    ctx.accounts.repo_roots.set(did, head.cid, head.rev)
    return head, block


async def did_points_here(ctx: AppContext, did: Did) -> bool:
    """Whether the DID names this server and the repository's signing key; False if unresolvable."""
    try:
        await check_did_points_here(ctx, did)
    except (DidMismatch, PlcError):
        return False
    return True


async def check_did_points_here(ctx: AppContext, did: Did) -> None:
    """Raise `DidMismatch` unless the DID names this server and the repository's signing key."""
    if ctx.did_resolver.find_own(did) is not None:
        return
    try:
        document = await ctx.did_resolver.resolve(did, force=True)
    except DidResolutionError as exc:
        raise DidMismatch("Could not resolve DID") from exc
    if did.startswith("did:plc:"):
        data = await ctx.plc.data(did)
        if ctx.did_rotation_key not in data.rotation_keys:
            raise DidMismatch("Server rotation key not included in PLC DID data")
    _check_document(ctx, did, document)


def _keep_hold(ctx: AppContext, did: Did) -> None:
    if ctx.settings.is_hold(did):
        raise HoldAccount


def _check_document(ctx: AppContext, did: Did, document: DidDocument) -> None:
    if not is_same_server(document.pds_endpoint, ctx.settings.public_url):
        raise DidMismatch("DID document atproto_pds service endpoint does not match PDS public url")
    if document.signing_key() != ctx.actor_store.key(did).did_key:
        raise DidMismatch("DID document verification method does not match expected signing key")


_EVENT_STATUS: dict[AccountStatus, EventStatus] = {
    AccountStatus.TAKENDOWN: "takendown",
    AccountStatus.DEACTIVATED: "deactivated",
    AccountStatus.DELETED: "deleted",
}
