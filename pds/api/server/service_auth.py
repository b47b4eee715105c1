"""com.atproto.server.getServiceAuth: tokens with which an account calls other services."""

from __future__ import annotations

import re
import time
from typing import Final

from pds.accounts.scopes import STANDARD, SessionScope
from pds.lifecycle.acting import get_acting_account
from pds.service_auth.jwt import create_service_jwt
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import METHOD_TABLE, XrpcMethods
from pds.xrpc.oauth_demands import in_handler

methods = XrpcMethods()

MAX_LIFETIME_S: Final = 60 * 60
MAX_LIFETIME_WITHOUT_METHOD_S: Final = 60
_MOVE: Final = "com.atproto.server.createAccount"
"""The only method a taken-down account may still call elsewhere."""
# The DID methods of atproto, a port only for tests on one machine, and a URL fragment.
_AUDIENCE: Final = re.compile(
    r"did:(?:plc:[a-z2-7]{24}|web:localhost%3A[0-9]{1,5}|web:[A-Za-z0-9._-]+)"
    r"(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})+)?"
).fullmatch


@methods.method(
    "com.atproto.server.getServiceAuth",
    auth=user(
        STANDARD | {SessionScope.TAKENDOWN},
        oauth=in_handler("`rpc:` for the method, or all by `*`"),
    ),
)
async def get_service_auth(call: XrpcCall) -> Answer:
    """com.atproto.server.getServiceAuth"""
    ctx, params, did = call.ctx, call.params, call.user.did
    audience, lxm, expires_at = params["aud"], params.get("lxm"), params.get("exp")
    call.user.granted.check_rpc(lxm or "*", audience)
    if _AUDIENCE(audience) is None:
        raise invalid_request("aud must be a valid atproto DID or did#serviceId reference")
    scopes = STANDARD if lxm is None else call.request.app[METHOD_TABLE].scopes_elsewhere(lxm)
    _check_caller(call, audience, lxm, scopes)
    now_s = time.time()
    # 0 makes a token that has already expired, which is harmless.
    if expires_at:
        _check_expiration(expires_at, now_s, has_method=lxm is not None)
    if not scopes:
        raise invalid_request(
            f"cannot request a service auth token for the following protected method: {lxm}"
        )
    token = create_service_jwt(
        ctx.actor_store.key(did),
        iss=did,
        aud=audience,
        now_s=int(now_s),
        lxm=lxm,
        expires_at=expires_at,
    )
    return {"token": token}


def _check_caller(
    call: XrpcCall, audience: str, lxm: str | None, scopes: frozenset[SessionScope]
) -> None:
    """Raise `XrpcError` unless this session may have a token for the service and the method.

    `scopes` are those that may reach the method elsewhere; the caller handles an empty set.
    """
    scope, moves_away = call.user.scope, lxm == _MOVE
    if scope is SessionScope.TAKENDOWN:
        if not moves_away:
            raise invalid_request("Bad token scope", "InvalidToken")
    elif scopes and not call.user.may_reach(scopes):
        raise invalid_request(
            f"insufficient access to request a service auth token for the following method: {lxm}"
        )
    elif not call.user.is_full and call.ctx.service_auth.makes_moderator(call.user.did, audience):
        raise invalid_request("insufficient access to request a service auth token for this server")
    # A session older than a takedown lasts two more hours, but only on this server.
    get_acting_account(call.ctx, call.user.did, refuse_takendown=not moves_away)


def _check_expiration(expires_at: int, now_s: float, *, has_method: bool) -> None:
    lifetime_s = expires_at - now_s
    if lifetime_s < 0:
        raise invalid_request("expiration is in past", "BadExpiration")
    if lifetime_s > MAX_LIFETIME_S:
        raise invalid_request(
            "cannot request a token with an expiration more than an hour in the future",
            "BadExpiration",
        )
    if not has_method and lifetime_s > MAX_LIFETIME_WITHOUT_METHOD_S:
        raise invalid_request(
            "cannot request a method-less token with an expiration more than a minute in the "
            "future",
            "BadExpiration",
        )
