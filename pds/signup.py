"""Creating an account: the DID, the repository, the login, and the events that tell of them.

The steps touch four places (PLC directory, actor store, service database, event log) that have
no common transaction. They are ordered so that the account exists exactly when its rows are
committed; whatever fails before that is undone.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from identity.did_document import ATPROTO_KEY, ATPROTO_PDS, PDS_TYPE
from identity.plc import PlcError
from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.accounts.handle_rules import CheckedHandle
from pds.accounts.manager import NewAccount
from pds.accounts.session_operations import Session
from pds.commits import commit_event, sync_event
from pds.handles import check_leads_to
from repo.commit import CommitData
from repo.keys import K256PrivateKey, PrivateKey
from repo.syntax import Did
from sequencer.events import AccountEvent, Event, IdentityEvent

if TYPE_CHECKING:
    from pds.context import AppContext

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class Signup:
    """A request for an account that has passed every check of its own."""

    handle: CheckedHandle
    email: str | None
    password: str | None
    invite_code: str | None = None
    did: Did | None = None
    """An existing DID that moves here, which the caller has proved to own; else one is made."""
    recovery_key: str | None = None
    """A did:key that the user holds, to be the strongest rotation key of a new DID."""


async def create_account(ctx: AppContext, signup: Signup) -> Session:
    """Make the account and open its first session.

    An account that brings its DID starts deactivated and without events. Raises `AccountError`s,
    `RepoExists`, `PlcError`.
    """
    key = K256PrivateKey.generate()
    operation = None
    did = signup.did
    if did is None:
        operation = _genesis(ctx, signup, key)
        did = operation.did()
    if signup.handle.is_external:
        await check_leads_to(ctx, signup.handle.handle, did)
    async with AsyncExitStack() as undo:
        commit = await ctx.actor_store.create(did, key, lambda actor: actor.create_repo())
        undo.push_async_callback(ctx.actor_store.destroy, did)
        if operation is not None:
            await _register(ctx, did, operation)
            undo.push_async_callback(_tombstone, ctx, did)
        session = await ctx.accounts.create_account(
            NewAccount(
                did=did,
                handle=signup.handle.handle,
                cid=commit.cid,
                rev=commit.rev,
                email=signup.email,
                password=signup.password,
                invite_code=signup.invite_code,
                deactivated=signup.did is not None,
            )
        )
        # From here on the account exists: a failure to sequence is mended by recovery.
        undo.pop_all()
    if signup.did is None:
        await ctx.sequencer.append(*_birth_events(signup.handle.handle, commit))
    return session


def plc_data(ctx: AppContext, *, handle: str, key: PrivateKey, recovery_key: str | None) -> PlcData:
    """What a did:plc of this server says."""
    rotation_keys = [recovery_key, ctx.settings.identity.recovery_did_key, ctx.rotation_key.did_key]
    return PlcData(
        rotation_keys=tuple(dict.fromkeys(key for key in rotation_keys if key)),
        verification_methods={ATPROTO_KEY: key.did_key},
        also_known_as=(f"at://{handle}",),
        services={ATPROTO_PDS: PlcService(PDS_TYPE, ctx.settings.public_url)},
    )


def _genesis(ctx: AppContext, signup: Signup, key: PrivateKey) -> PlcOperation:
    data = plc_data(ctx, handle=signup.handle.handle, key=key, recovery_key=signup.recovery_key)
    return PlcOperation.sign(data, prev=None, key=ctx.rotation_key)


def _birth_events(handle: str, commit: CommitData) -> tuple[Event, ...]:
    return (
        IdentityEvent(commit.did, handle),
        AccountEvent(commit.did, active=True),
        commit_event(commit),
        sync_event(commit.did, cid=commit.cid, rev=commit.rev, block=commit.block),
    )


async def _register(ctx: AppContext, did: Did, operation: PlcOperation) -> None:
    try:
        await ctx.plc.send(did, operation)
    except PlcError as exc:
        if exc.status >= 500:
            # The directory may have accepted it, and only the answer was lost.
            with suppress(PlcError):
                await ctx.plc.tombstone(did, key=ctx.rotation_key)
        raise


async def _tombstone(ctx: AppContext, did: Did) -> None:
    try:
        await ctx.plc.tombstone(did, key=ctx.rotation_key)
    except PlcError as exc:
        # The DID stays behind without an account; nobody but us knows of it.
        _log.warning("a new DID could not be withdrawn", did=did, error=str(exc))
