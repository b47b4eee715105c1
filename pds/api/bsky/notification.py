"""app.bsky.notification: registering devices with the services that send them notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from identity.did_document import InvalidDidDocument
from identity.resolver import DidResolutionError
from pds.accounts.scopes import STANDARD, SessionScope
from pds.proxy.answers import call_service
from pds.proxy.on_behalf import token_for
from pds.proxy.target import ProxyTarget
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import in_handler
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext

methods = XrpcMethods()

REGISTER: Final = "app.bsky.notification.registerPush"
UNREGISTER: Final = "app.bsky.notification.unregisterPush"
_NOTIFIER_ID: Final = "bsky_notif"
_NOTIFIER_TYPE: Final = "BskyNotificationService"
_DEMAND: Final = in_handler(f"`rpc:` for it at `#{_NOTIFIER_ID}` of the service")


@methods.method(REGISTER, auth=user(STANDARD | {SessionScope.SIGNUP_QUEUED}, oauth=_DEMAND))
async def register_push(call: XrpcCall) -> Answer:
    """app.bsky.notification.registerPush"""
    await _tell_notifier(call, REGISTER)
    return None


@methods.method(UNREGISTER, auth=user(oauth=_DEMAND))
async def unregister_push(call: XrpcCall) -> Answer:
    """app.bsky.notification.unregisterPush"""
    await _tell_notifier(call, UNREGISTER)
    return None


async def _tell_notifier(call: XrpcCall, nsid: str) -> None:
    did = Did(call.body["serviceDid"])
    call.user.granted.check_rpc(nsid, f"{did}#{_NOTIFIER_ID}")
    target = await _notifier(call.ctx, did)
    token = token_for(call, target.did, nsid)
    await call_service(call, target, f"/xrpc/{nsid}", token=token, json=call.body)


async def _notifier(ctx: AppContext, did: Did) -> ProxyTarget:
    appview = ctx.settings.appview
    if appview is not None and did == appview.did:
        return ProxyTarget(appview.url, did, _NOTIFIER_ID, trusted=True)
    try:
        document = await ctx.did_resolver.resolve(did)
    except DidResolutionError as exc:
        if isinstance(exc.__cause__, InvalidDidDocument):
            raise invalid_request(f"invalid did document: {did}") from exc
        raise invalid_request(f"could not resolve did document: {did}") from exc
    url = document.service_endpoint(_NOTIFIER_ID, kind=_NOTIFIER_TYPE)
    if url is None:
        raise invalid_request(f"invalid notification service details in did document: {did}")
    return ProxyTarget(url, did, _NOTIFIER_ID, trusted=False)
