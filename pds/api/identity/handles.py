"""com.atproto.identity: handles and the DIDs they resolve to."""

from __future__ import annotations

from functools import partial

from identity.handles import HandleUnresolvable
from pds.fairness.presence import while_present
from pds.lifecycle.handles import resolve_handle, update_handle
from pds.rate_limits.limit import DAY_S, MINUTE_S, by_did
from pds.rate_limits.method_limits import calls
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import identity
from repo.syntax import normalize_handle

methods = XrpcMethods()


@methods.method("com.atproto.identity.resolveHandle")
async def resolve_handle_method(call: XrpcCall) -> Answer:
    """com.atproto.identity.resolveHandle"""
    handle = normalize_handle(call.params["handle"])
    try:
        did = await resolve_handle(
            call.ctx, handle, while_waiting=partial(while_present, call.request)
        )
    except HandleUnresolvable as exc:
        raise invalid_request("Unable to resolve handle") from exc
    if did is None:
        raise invalid_request("Unable to resolve handle", "HandleNotFound")
    return {"did": did}


@methods.method(
    "com.atproto.identity.updateHandle",
    auth=user(refuse_takendown=True, oauth=identity("handle")),
    limits=calls(by_did, {5 * MINUTE_S: 10, DAY_S: 50}),
    elsewhere=NOBODY,
)
async def update_handle_method(call: XrpcCall) -> Answer:
    """com.atproto.identity.updateHandle"""
    await update_handle(call.ctx, call.user.did, call.body["handle"])
    return None
