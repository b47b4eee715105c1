"""The hold's actor: its account and records, created and kept in line with the settings.

Each step is whole or not done, and every start looks for what is missing: the account with its
repository (journaled, see `pds.lifecycle.signup`), then one commit of all records that differ from
what the settings say.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from database.timestamps import now_iso
from pds.accounts.account import AccountStatus
from pds.accounts.availability import check_handle_free_for
from pds.accounts.errors import HandleNotAvailable
from pds.config import ConfigError
from pds.hold.permissions import Permission
from pds.hold.records import (
    CAPTAIN,
    CREW,
    OWNER_ROLE,
    PROFILE,
    SELF,
    crew_rkey,
    crew_value,
    find_value,
    to_json,
)
from pds.lifecycle.signup import create_own_actor
from pds.lifecycle.states import activate
from pds.peers.locks import account_lock
from pds.recovery.stores import mend_store
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from repo.syntax import Did, InvalidSyntax, is_did, parse_datetime
from sequencer.events import IdentityEvent

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.writes import PreparedWrite
    from pds.config import Settings
    from pds.context import AppContext
    from pds.hold.crew.roster import Roster
    from repo.commit import Action

_DISPLAY_NAME_CHARACTERS: Final = 64

_log = structlog.get_logger(__name__)


async def ensure_account(ctx: AppContext) -> None:
    """Create the hold's account unless it exists; adopt one that was imported or restored.

    Afterwards the account is active, has the hold's handle if that is free, and cannot log in.
    Raises `ConfigError` if it would be a new hold without an owner, and `ActorStoreError`s.
    """
    settings = ctx.settings
    did, handle = Did(settings.hold_did), settings.hold_handle
    account = ctx.accounts.find_account(did, include_inactive=True)
    if account is None and ctx.actor_store.exists(did):
        await _take_store(ctx, did, handle)
    elif account is None:
        if settings.hold.owner is None:
            raise ConfigError([_no_owner()])
        await create_own_actor(ctx, did, handle)
        _log.info("the hold's actor was made", did=did, handle=handle)
    else:
        await ctx.accounts.remove_login(did)
        if account.status is AccountStatus.DEACTIVATED:
            await activate(ctx, did)
            _log.info("the hold's actor was imported and is active from now on", did=did)
        elif account.status is AccountStatus.TAKENDOWN:
            _log.warning(
                "the hold's actor is taken down",
                did=did,
                remedy=f"pds account untakedown {did}",
            )
    await _take_handle(ctx, did, handle)


async def write_records(ctx: AppContext, roster: Roster) -> None:
    """Bring the captain record, the owner's crew record and the profile in line with the settings.

    Makes one commit, or none if nothing differs. Raises `ConfigError` if the settings contradict
    the captain record, and what `commit` raises.
    """
    settings = ctx.settings
    did = Did(settings.hold_did)
    owner = settings.hold.owner or (await roster.captain()).owner
    owner_is_crew = bool(await roster.records_of(owner))
    now = now_iso()
    head = await commit(ctx, did, partial(_writes, ctx, now=now, owner_is_crew=owner_is_crew))
    if head is not None:
        _log.info("the hold's records were written", rev=head.rev)


def captain_value(settings: Settings, stored: dict[str, Any] | None, *, now: str) -> dict[str, Any]:
    """Return the captain record that the settings ask for; unknown fields are kept.

    `stored` is the current record, None if it is missing or unreadable. Raises `ConfigError`.
    """
    hold = settings.hold
    value = {**(stored or {}), "$type": CAPTAIN}
    owner = value.get("owner")
    if not (isinstance(owner, str) and is_did(owner)):
        if hold.owner is None:
            raise ConfigError([_no_owner()])
        value["owner"] = hold.owner
    elif hold.owner is not None and hold.owner != owner:
        raise ConfigError([_other_owner(settings, owner)])
    if not _is_datetime(value.get("deployedAt")):
        value["deployedAt"] = now
    value["public"] = hold.public
    value["allowAllCrew"] = hold.allow_all_crew
    value["enableBlueskyPosts"] = hold.bluesky_posts
    region = hold.region or settings.blobstore.s3_region
    if region:
        value["region"] = region
    value.pop("successor", None)
    if hold.successor:
        value["successor"] = hold.successor
    return value


async def _take_store(ctx: AppContext, did: Did, handle: str | None) -> None:
    """Add the account of a store that was put here without one, and its missing events."""
    head = await ctx.actor_store.read(did, lambda actor: actor.repo.head())
    async with account_lock(ctx, did):
        await ctx.accounts.upsert_hosted(did, handle=handle, cid=str(head.cid), rev=head.rev)
    _log.info("the hold's actor was found without an account, and taken as it is", did=did)
    await mend_store(ctx, ctx.accounts.get_account(did), may_lack_commits=False)


async def _take_handle(ctx: AppContext, did: Did, handle: str | None) -> None:
    account = ctx.accounts.get_account(did, include_inactive=True)
    if account.handle == handle:
        return
    if handle is not None:
        try:
            check_handle_free_for(ctx.accounts.store, did, handle)
        except HandleNotAvailable:
            remedy = f"Give that account another: pds account update-handle {handle} NEW"
            _log.warning("another account has the hold's handle", handle=handle, remedy=remedy)
            return
        await ctx.accounts.update_handle(did, handle)
        await ctx.sequencer.append(IdentityEvent(did, handle))


def _writes(
    ctx: AppContext, actor: ActorStoreReader, *, now: str, owner_is_crew: bool
) -> list[PreparedWrite] | None:
    settings = ctx.settings
    stored = _stored(actor, CAPTAIN, SELF)
    captain = captain_value(settings, stored, now=now)
    writes: list[PreparedWrite] = []
    if captain != stored:
        writes.append(_prepared(ctx, actor, CAPTAIN, SELF, captain))
    owner = captain["owner"]
    rkey = crew_rkey(owner)
    if not owner_is_crew and actor.record.find_cid(CREW, rkey) is None:
        value = crew_value(owner, role=OWNER_ROLE, permissions=Permission, added_at=now)
        writes.append(_prepared(ctx, actor, CREW, rkey, value))
    if stored is None and actor.record.find_cid(PROFILE, SELF) is None:
        writes.append(_prepared(ctx, actor, PROFILE, SELF, _profile_value(settings, now)))
    return writes or None


def _profile_value(settings: Settings, now: str) -> dict[str, Any]:
    return {
        "$type": PROFILE,
        "displayName": settings.hold_host[:_DISPLAY_NAME_CHARACTERS],
        "description": "A hold of the ATCR container registry: it stores images.",
        "createdAt": now,
    }


def _stored(actor: ActorStoreReader, collection: str, rkey: str) -> dict[str, Any] | None:
    value = find_value(actor, collection, rkey, include_takendown=True)
    return None if value is None else to_json(value)


def _prepared(
    ctx: AppContext, actor: ActorStoreReader, collection: str, rkey: str, value: dict[str, Any]
) -> PreparedWrite:
    """Prepare a write without validating it: unknown fields stay as they are."""
    exists = actor.record.find_cid(collection, rkey) is not None
    action: Action = "update" if exists else "create"
    return prepare_write(ctx.lexicons, action, collection, rkey, value, validate=False)


def _is_datetime(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(parse_datetime(value))
    except InvalidSyntax:
        return False


def _no_owner() -> str:
    return (
        "PDS_HOLD_OWNER is missing, and there is no captain record yet: set the DID of the one who "
        "may do everything on this hold, such as did:plc:…"
    )


def _other_owner(settings: Settings, owner: str) -> str:
    return (
        f"PDS_HOLD_OWNER is {settings.hold.owner}, but the captain record of {settings.hold_did} "
        f"names {owner}, and the owner of a hold never changes: set PDS_HOLD_OWNER={owner}"
    )
