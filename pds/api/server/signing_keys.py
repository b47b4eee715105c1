"""com.atproto.server.reserveSigningKey: a signing key ahead of the account that will use it."""

from __future__ import annotations

import asyncio

from pds.accounts.availability import check_did_free
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("com.atproto.server.reserveSigningKey")
async def reserve_signing_key(call: XrpcCall) -> Answer:
    """com.atproto.server.reserveSigningKey: the same for a DID each time; not for accounts here"""
    ctx, did = call.ctx, call.body.get("did")
    if did is not None:
        check_did_free(ctx.accounts.store, did)
    # Anyone may ask, and each waits for the disk.
    holder = ctx.client_addresses.of(call.request).group
    async with ctx.reserving.turn(holder):
        key = await asyncio.to_thread(ctx.actor_store.keys.reserve, did, holder=holder)
    return {"signingKey": key.did_key}
