"""com.atproto.admin.updateAccountHandle behind an entryway, which has changed the DID already.

client -> identity.updateHandle here -> identity.updateHandle of the entryway
       -> PLC directory, then admin.updateAccountHandle here -> row, #identity
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from identity.resolver import DidResolutionError
from pds.lifecycle.errors import DidMismatch
from pds.lifecycle.handles import check_new_handle
from pds.peers.locks import account_lock
from repo.syntax import Did
from sequencer.events import IdentityEvent

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.xrpc.call import Answer, XrpcCall
    from repo.syntax import Handle


async def follow_handle(call: XrpcCall) -> Answer:
    """com.atproto.admin.updateAccountHandle: the account gets the handle that its DID names."""
    await follow(call.ctx, Did(call.body["did"]), call.body["handle"])
    return None


async def follow(ctx: AppContext, did: Did, handle: str) -> None:
    """Give an account the handle that its DID already names: in its row, and in an event.

    Raises `DidMismatch` if the DID names another, and what `check_new_handle` raises.
    """
    checked = await check_new_handle(ctx, did, handle, allow_reserved=True)
    if await _handle_of_did(ctx, did) != checked:
        raise DidMismatch("Handle does not match DID doc")
    async with account_lock(ctx, did):
        await ctx.accounts.update_handle(did, checked)
    await ctx.sequencer.append(IdentityEvent(did, checked))


async def _handle_of_did(ctx: AppContext, did: Did) -> Handle | None:
    try:
        return (await ctx.did_resolver.resolve(did, force=True)).handle
    except DidResolutionError:
        return None
