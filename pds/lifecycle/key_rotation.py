"""Replacing keys: the signing key of an account, and the server's rotation key in DIDs.

Neither change is journaled. After an interruption, the DID shows which steps are missing, and
repeating the change completes them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from identity.did_document import ATPROTO_KEY, ATPROTO_PDS
from identity.plc import PlcError
from pds.config.addresses import is_same_server
from pds.lifecycle.errors import DidMismatch
from pds.lifecycle.plc_updates import ensure_plc
from pds.lifecycle.states import append_with_commit, renew_commit
from pds.peers.locks import account_lock
from pds.repos.commits import wait_for_log
from pds.repos.damage import forget_damage
from pds.repos.stores import use_new_key
from repo.keys import K256PrivateKey
from sequencer.events import IdentityEvent

if TYPE_CHECKING:
    from identity.plc import PlcClient
    from identity.plc_data import PlcData
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext
    from repo.keys import PrivateKey
    from repo.syntax import Did

RotationOutcome: TypeAlias = Literal["replaced", "had it", "not listed", "no such DID"]
"""The result for a DID's rotation key; `not listed` means neither the old nor the new one is."""


async def replace_signing_key(ctx: AppContext, account: ActorAccount) -> PrivateKey:
    """Replace an account's signing key in its DID and its key file, and re-sign its commit.

    The old key may be missing. The DID document of this server's own hold has whichever key is in
    the file. Raises `LifecycleError` for a DID that the server does not change, `PlcError`, and
    `DatabaseError`s.
    """
    did = account.did
    is_hold = ctx.settings.is_hold(did)
    if not is_hold:
        ensure_plc(did)
    await wait_for_log(ctx)
    async with account_lock(ctx, did):
        key = K256PrivateKey.generate() if is_hold else await _put_into_did(ctx, account)
        await asyncio.to_thread(ctx.actor_store.keys.replace, did, key)
        await use_new_key(ctx, did)
        await ctx.did_resolver.refresh(did)
        identity = IdentityEvent(did, account.handle)
        if account.deactivated_at is None:
            await append_with_commit(ctx, did, identity)
        else:
            # Its `#sync` follows when it is activated.
            await renew_commit(ctx, did)
            await ctx.sequencer.append(identity)
        await asyncio.to_thread(ctx.actor_store.keys.release, key.did_key)
        # The store may have been reported as damaged because its key was missing.
        await forget_damage(ctx, did)
    return key


async def _put_into_did(ctx: AppContext, account: ActorAccount) -> PrivateKey:
    """Put a key that is stored here into the DID, and return it."""
    data = await ctx.plc.data(account.did)
    service = data.services.get(ATPROTO_PDS)
    if service is None or not is_same_server(service.endpoint, ctx.settings.public_url):
        raise DidMismatch(f"{account.did} leads to another server, and so does its key")
    # An interrupted attempt may have put its key into the DID already.
    key = ctx.actor_store.keys.find_reserved(data.verification_methods.get(ATPROTO_KEY, "none"))
    if key is not None:
        return key
    new = await asyncio.to_thread(ctx.actor_store.keys.reserve)

    def with_new(state: PlcData) -> PlcData:
        methods = {**state.verification_methods, ATPROTO_KEY: new.did_key}
        return replace(state, verification_methods=methods)

    await ctx.plc.update(account.did, with_new, key=ctx.rotation_key)
    return new


async def replace_rotation_key(
    plc: PlcClient, did: Did, *, old: PrivateKey, new: PrivateKey
) -> RotationOutcome:
    """Replace `old` with `new` among the rotation keys of a DID. Raises `PlcError`."""
    try:
        keys = (await plc.data(did)).rotation_keys
    except PlcError as exc:
        if exc.is_absence:
            return "no such DID"
        raise
    if old.did_key not in keys:
        return "had it" if new.did_key in keys else "not listed"

    def with_new(state: PlcData) -> PlcData:
        listed = (new.did_key if key == old.did_key else key for key in state.rotation_keys)
        return replace(state, rotation_keys=tuple(dict.fromkeys(listed)))

    await plc.update(did, with_new, key=old)
    return "replaced"
