"""app.bsky.feed: feeds of generators, which the AppView queries on the reader's behalf."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from pds.proxy.answers import call_service, json_object
from pds.proxy.forwarding import pass_on
from pds.proxy.oauth import rpc_to_target
from pds.proxy.on_behalf import token_for
from pds.proxy.target import choose_service, default_target, locate
from pds.xrpc.accept_encoding import RELAYED, check_acceptable
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import XrpcError, invalid_request
from pds.xrpc.methods import XrpcMethods
from repo.syntax import is_did, parse_at_uri

methods = XrpcMethods()

GET_FEED: Final = "app.bsky.feed.getFeed"
_GET_SKELETON: Final = "app.bsky.feed.getFeedSkeleton"


@methods.method(GET_FEED, auth=user(oauth=rpc_to_target(_GET_SKELETON)))
async def get_feed(call: XrpcCall) -> Answer:
    """app.bsky.feed.getFeed: the token is for the generator, to which the AppView hands it on"""
    ctx = call.ctx
    service = choose_service(ctx.settings, GET_FEED, call.request)
    generator = await _generator_of(call, call.params["feed"])
    target = await locate(ctx.did_resolver, service)
    check_acceptable(call.request, RELAYED)
    token = token_for(call, generator, _GET_SKELETON)
    return await pass_on(ctx, call.request, target, token=token)


async def _generator_of(call: XrpcCall, feed: str) -> str:
    """Return the DID of the service that generates a feed, from its record at the AppView."""
    uri = parse_at_uri(feed)
    if uri.collection is None or uri.rkey is None:
        raise _unknown_feed()
    record = {"repo": uri.authority, "collection": uri.collection, "rkey": uri.rkey}
    path = f"/xrpc/com.atproto.repo.getRecord?{urlencode(record)}"
    appview = default_target(call.ctx.settings, GET_FEED)
    value = json_object(await call_service(call, appview, path)).get("value")
    did = value.get("did") if isinstance(value, dict) else None
    if not isinstance(did, str) or not is_did(did):
        raise _unknown_feed()
    return did


def _unknown_feed() -> XrpcError:
    return invalid_request("could not resolve feed did", "UnknownFeed")
