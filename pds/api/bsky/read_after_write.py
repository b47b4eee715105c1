"""app.bsky: AppView answers, completed with the account's writes that it has not indexed yet."""

from __future__ import annotations

from typing import Final

from pds.proxy.answers import fetch_json, relay
from pds.proxy.oauth import RPC
from pds.read_after_write.answering import merge_unseen
from pds.xrpc.auth import method_of, user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.responses import json_response

methods = XrpcMethods()

UPSTREAM_LAG: Final = "Atproto-Upstream-Lag"
"""By how many milliseconds the AppView lags at least; set on answers changed because of it."""


@methods.method("app.bsky.actor.getProfile", auth=user(oauth=RPC))
@methods.method("app.bsky.actor.getProfiles", auth=user(oauth=RPC))
@methods.method("app.bsky.feed.getActorLikes", auth=user(oauth=RPC))
@methods.method("app.bsky.feed.getAuthorFeed", auth=user(oauth=RPC))
@methods.method("app.bsky.feed.getPostThread", auth=user(oauth=RPC))
@methods.method("app.bsky.feed.getTimeline", auth=user(oauth=RPC))
async def read_after_write(call: XrpcCall) -> Answer:
    """The methods of `pds.read_after_write.merging`."""
    nsid = method_of(call.request)
    answer = await fetch_json(call, nsid=nsid)
    merged = await merge_unseen(call, nsid, answer)
    if merged is None:
        return relay(call, answer)
    response = json_response(call.request, merged.body, private=True)
    response.headers[UPSTREAM_LAG] = str(merged.lag_ms)
    return response
