"""Creating an account: the DID, the repository, the login, and the events that announce them.

The steps involve four stores (PLC directory, actor store, service database, event log) that have
no common transaction. They are ordered so that the account exists exactly when its rows are
committed: a failure or crash before that is undone, a crash after it is completed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from identity.did_document import ATPROTO_KEY, ATPROTO_PDS, PDS_TYPE
from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.accounts.accounts import NewAccount
from pds.accounts.availability import check_email_free, check_handle_free
from pds.accounts.email_rules import check_email
from pds.accounts.errors import EmailNotSupported, InvalidInviteCode, InvalidPasswordLength
from pds.accounts.handle_rules import CheckedHandle, check_handle
from pds.accounts.hashing import OPERATOR, Asker
from pds.accounts.passwords import MAX_NEW_LENGTH
from pds.accounts.sessions import Session
from pds.lifecycle.changes import IMPORTED, MOVED, NEW, journaled
from pds.lifecycle.errors import NoSignups
from pds.lifecycle.handles import check_handle_points_to
from pds.pending.journal import Entry
from pds.repos.commits import commit_event, sync_event
from repo.commit import CommitData, Head
from repo.keys import K256PrivateKey, PrivateKey
from repo.syntax import Did
from sequencer.events import AccountEvent, Event, IdentityEvent

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext


@dataclass(slots=True, frozen=True)
class Signup:
    """A request for an account, whose fields have been checked."""

    handle: CheckedHandle
    email: str | None
    password: str | None
    invite_code: str | None = None
    did: Did | None = None
    """An existing DID that migrates here, whose ownership is proved; None to create a DID."""
    recovery_key: str | None = None
    """A did:key held by the user, which becomes the first rotation key of a new DID."""
    fill: Callable[[Did], Awaitable[Head]] | None = None
    """Loads the repository of a migrating DID into its store; None to start with an empty one."""
    asker: Asker = OPERATOR


def check_signup(
    ctx: AppContext,
    *,
    handle: str,
    email: str,
    password: str | None,
    invite_code: str | None,
    did_known: bool = False,
    by_operator: bool = False,
) -> CheckedHandle:
    """Check the fields of a request for an account, in the reference's order; return its handle.

    `did_known` is true for a DID that migrates here. The operator needs no invite code. Raises
    `AccountError`s and `NoSignups`.
    """
    if ctx.settings.hold.only:
        raise NoSignups
    if password is not None and len(password) > MAX_NEW_LENGTH:
        raise InvalidPasswordLength(
            f"Password too long. Maximum length is {MAX_NEW_LENGTH} characters."
        )
    invite_required = ctx.settings.invites.required and not by_operator
    if invite_required and not invite_code:
        raise InvalidInviteCode("No invite code provided")
    if not email:
        raise EmailNotSupported("Email is required")
    check_email(email)
    checked = check_handle(handle, ctx.settings.service_handle_domains, did_known=did_known)
    if invite_required and invite_code:
        ctx.accounts.invites.ensure_available(invite_code)
    # Checked before a DID is created, which would be in vain.
    check_handle_free(ctx.accounts.store, checked.handle)
    check_email_free(ctx.accounts.store, email, message=f"Email already taken: {email}")
    return checked


async def create_account(ctx: AppContext, signup: Signup) -> Session:
    """Create the account and its first session.

    An account with an existing DID starts deactivated and without events, with the signing key
    reserved for it, if there is one. Raises `AccountError`s, `TooBusy`, `RepoExists`, `PlcError`,
    and what `Signup.fill` raises.
    """
    did = signup.did
    reserved = None if did is None else ctx.actor_store.keys.find_reserved(did)
    key = reserved or K256PrivateKey.generate()
    operation = None
    if did is None:
        operation = _genesis(ctx, signup, key)
        did = operation.did()
    if signup.handle.is_external:
        await check_handle_points_to(ctx, signup.handle.handle, did)
    # Hash before anything is created: the hasher may be too busy, or the client may leave.
    password_hash = None
    if signup.password is not None:
        password_hash = await ctx.accounts.passwords.hash_new(
            did, signup.password, asker=signup.asker
        )
    async with journaled(ctx, Entry("create", did, _detail(signup, operation))):
        commit = await ctx.actor_store.create(did, key, lambda actor: actor.create_repo())
        head = Head(commit.cid, commit.rev)
        if operation is not None:
            await ctx.plc.send(did, operation)
        elif signup.fill is not None:
            head = await signup.fill(did)
        session = await ctx.accounts.create_account(
            NewAccount(
                did=did,
                handle=signup.handle.handle,
                cid=head.cid,
                rev=head.rev,
                email=signup.email,
                password_hash=password_hash,
                invite_code=signup.invite_code,
                deactivated=operation is None,
            )
        )
    if reserved is not None:
        ctx.actor_store.keys.release(did)
    if operation is not None:
        await ctx.sequencer.append(*birth_events(signup.handle.handle, commit))
    return session


async def create_own_actor(
    ctx: AppContext,
    did: Did,
    handle: str | None,
    *,
    fill: Callable[[Did], Awaitable[Head]] | None = None,
) -> None:
    """Create an account that cannot log in, for a DID that this server itself publishes.

    Without the handle if another account has it. With `fill`, which is as in `Signup`, it starts
    deactivated and without events. Raises `RepoExists`, and what `fill` raises.
    """
    key = K256PrivateKey.generate()
    async with journaled(ctx, Entry("create", did, MOVED if fill is None else IMPORTED)):
        commit = await ctx.actor_store.create(did, key, lambda actor: actor.create_repo())
        head = Head(commit.cid, commit.rev) if fill is None else await fill(did)
        await ctx.accounts.upsert_hosted(
            did,
            handle=handle,
            cid=str(head.cid),
            rev=head.rev,
            deactivated=fill is not None,
        )
    if fill is None:
        account = ctx.accounts.get_account(did)
        await ctx.sequencer.append(*birth_events(account.handle, commit))


def plc_data(ctx: AppContext, *, handle: str, key: PrivateKey, recovery_key: str | None) -> PlcData:
    """Return the content of a did:plc of this server."""
    rotation_keys = [recovery_key, ctx.settings.identity.recovery_did_key, ctx.did_rotation_key]
    return PlcData(
        rotation_keys=tuple(dict.fromkeys(key for key in rotation_keys if key)),
        verification_methods={ATPROTO_KEY: key.did_key},
        also_known_as=(f"at://{handle}",),
        services={ATPROTO_PDS: PlcService(PDS_TYPE, ctx.settings.public_url)},
    )


def did_credentials(ctx: AppContext, account: ActorAccount) -> dict[str, Any]:
    """Return what an account's DID must state for it to be hosted here, as PLC operation fields."""
    key = ctx.actor_store.key(account.did)
    data = plc_data(ctx, handle=account.shown_handle, key=key, recovery_key=None).to_json()
    if account.handle is None:
        del data["alsoKnownAs"]
    if not account.did.startswith("did:plc:"):
        del data["rotationKeys"]
    return data


def birth_events(handle: str | None, commit: CommitData) -> tuple[Event, ...]:
    """Return the events that announce a new account."""
    return (
        IdentityEvent(commit.did, handle),
        AccountEvent(commit.did, active=True),
        commit_event(commit),
        sync_event(commit.did, cid=commit.cid, rev=commit.rev, block=commit.block),
    )


def _genesis(ctx: AppContext, signup: Signup, key: PrivateKey) -> PlcOperation:
    data = plc_data(ctx, handle=signup.handle.handle, key=key, recovery_key=signup.recovery_key)
    return PlcOperation.sign(data, prev=None, key=ctx.rotation_key)


def _detail(signup: Signup, operation: PlcOperation | None) -> str:
    if operation is not None:
        return NEW
    return MOVED if signup.fill is None else IMPORTED
