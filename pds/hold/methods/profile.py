"""app.bsky.actor: the profile of the hold, which needs no AppView; others as on any server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from pds.api.bsky.read_after_write import read_after_write
from pds.hold.records import PROFILE, SELF, read_value
from pds.proxy.oauth import RPC
from pds.proxy.target import named_service
from pds.read_after_write.images import Images
from pds.read_after_write.profile import update_detailed
from pds.repos.readable import get_readable_account
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.credentials import Anonymous, Credentials, demands
from pds.xrpc.methods import XrpcMethods

if TYPE_CHECKING:
    from pds.context import AppContext

methods = XrpcMethods()

_as_user: Final = user(oauth=RPC)


@demands(f"none for the hold's own profile; {_as_user.demands}")
async def _optional_user(ctx: AppContext, request: web.Request) -> Credentials:
    if _asks_for_hold_only(ctx, request):
        return Anonymous()
    return await _as_user(ctx, request)


@methods.method("app.bsky.actor.getProfile", auth=_optional_user)
async def get_profile(call: XrpcCall) -> Answer:
    """app.bsky.actor.getProfile: that of the hold, or of others from the AppView"""
    if not _asks_for_hold_only(call.ctx, call.request):
        return await read_after_write(call)
    return await _view(call)


@methods.method("app.bsky.actor.getProfiles", auth=_optional_user)
async def get_profiles(call: XrpcCall) -> Answer:
    """app.bsky.actor.getProfiles: that of the hold alone, or others from the AppView"""
    if not _asks_for_hold_only(call.ctx, call.request):
        return await read_after_write(call)
    return {"profiles": [await _view(call)]}


def _asks_for_hold_only(ctx: AppContext, request: web.Request) -> bool:
    """Whether a request names nobody but the hold, and no service to ask instead of this one."""
    settings = ctx.settings
    names = {settings.hold_did, settings.hold_handle}
    actors = request.query.getall("actor", []) + request.query.getall("actors", [])
    asked = {actor if actor.startswith("did:") else actor.lower() for actor in actors}
    return bool(asked) and asked <= names and named_service(request) is None


async def _view(call: XrpcCall) -> dict[str, Any]:
    """Return the `profileViewDetailed` of the hold."""
    ctx = call.ctx
    did = ctx.settings.hold_did
    account = get_readable_account(ctx, did, call.may_see_everything_of)
    found = await ctx.actor_store.read(did, lambda actor: actor.record.find(PROFILE, SELF))
    view: dict[str, Any] = {"did": did, "handle": account.shown_handle}
    if found is not None:
        images = Images(did, None, ctx.settings.hold_url)
        update_detailed(view, read_value(found.block) or {}, images)
        view["indexedAt"] = found.indexed_at
    return view
