"""io.atcr.hold: joining the crew, the tiers of its members, their quotas and their data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from pds.fairness.presence import while_present
from pds.hold.errors import answering, named
from pds.hold.hold import HOLD, hold_of
from pds.hold.methods.authenticators import HoldCredentials, bearer_token, caller
from pds.hold.permissions import Permission
from pds.hold.records import MEMBER_ROLE, OWNER_ROLE
from pds.rate_limits.limit import HOUR_S, by_did
from pds.rate_limits.method_limits import calls
from pds.reporting import format_size
from pds.xrpc.auth import method_of
from pds.xrpc.call import Answer, JsonBytes, XrpcCall
from pds.xrpc.credentials import demands
from pds.xrpc.errors import auth_required, invalid_request
from pds.xrpc.methods import XrpcMethods
from repo.syntax import Did, InvalidSyntax, parse_did

if TYPE_CHECKING:
    from pds.context import AppContext

methods = XrpcMethods()

AUTH_REQUIRED: Final = "AuthRequired"
"""What the Lexicons of these methods call a missing token."""
_ABOUT: Final = web.RequestKey("about", Did)
"""The user whom a token of the AppView names."""
_JOINING: Final = frozenset({Permission.READ, Permission.WRITE})
"""The permissions that somebody who joins may have, and gets by default."""
_RESERVED_ROLES: Final = frozenset({OWNER_ROLE, "admin"})


@demands("the registry, by a token that it signed for the hold")
async def _appview(ctx: AppContext, request: web.Request) -> HoldCredentials:
    hold, token = request.app[HOLD], bearer_token(request, AUTH_REQUIRED)
    appview = hold.settings.appview_did
    if appview is None:
        raise auth_required("this hold trusts no registry", AUTH_REQUIRED)
    with while_present(request), answering():
        request[_ABOUT] = await hold.appview.verify(token, nsid=method_of(request))
    return HoldCredentials(Did(appview))


@methods.method(
    "io.atcr.hold.requestCrew",
    auth=caller(missing=AUTH_REQUIRED),
    limits=calls(by_did, {HOUR_S: 600}),
    body_optional=True,
)
async def request_crew(call: XrpcCall) -> Answer:
    """io.atcr.hold.requestCrew: 201 for a new member, 200 for one who is in the crew already"""
    hold, did = hold_of(call), call.caller
    captain = await hold.roster.captain()
    is_captain = did == captain.owner
    # Nothing is revealed: the crew is public, as the captain record is.
    if not captain.allow_all_crew and not is_captain and await hold.roster.find(did) is None:
        raise named("RegistrationDisabled", "this hold takes no new members by itself")
    role, permissions = _asked(call.body)
    if is_captain:
        role, permissions = OWNER_ROLE, frozenset(Permission)
    with answering():
        record = await hold.crew.add(did, permissions=permissions, role=role)
    created = record.change == "created"
    answer = {
        "status": "created" if created else "already_member",
        "uri": record.uri,
        "cid": record.cid,
        "message": "You are a member of the crew now" if created else "You are a member already",
    }
    return JsonBytes(orjson.dumps(answer), status=201 if created else 200)


@methods.method("io.atcr.hold.updateCrewTier", auth=_appview)
async def update_crew_tier(call: XrpcCall) -> Answer:
    """io.atcr.hold.updateCrewTier: as the registry says, which knows who has paid"""
    hold, user = hold_of(call), Did(call.body["userDid"])
    if call.request[_ABOUT] != user:
        raise auth_required("the token is about another user", "BadJwt")
    tier = hold.tiers.at(call.body["tierRank"])
    if tier is None:
        raise invalid_request(f"tierRank must be less than {len(hold.tiers)}, the number of tiers")
    with answering():
        await hold.crew.update(user, tier=tier.name)
    return {"tierName": tier.name}


@methods.method("io.atcr.hold.getQuota")
async def get_quota(call: XrpcCall) -> Answer:
    """io.atcr.hold.getQuota: a limit is absent for the captain, and where there are no tiers"""
    hold = hold_of(call)
    try:
        user = parse_did(call.params["userDid"])
    except InvalidSyntax as exc:
        raise named("InvalidUserDid", "userDid is not a DID") from exc
    usage = await hold.layers.usage(user)
    answer: dict[str, Any] = {
        "userDid": user,
        "uniqueBlobs": usage.blobs,
        "totalSize": usage.size_bytes,
    }
    tier = await hold.quotas.tier_of(user)
    if tier is not None:
        answer |= {"limit": tier.quota_bytes, "tier": tier.name}
    return answer


@methods.method("io.atcr.hold.listTiers")
async def list_tiers(call: XrpcCall) -> Answer:
    """io.atcr.hold.listTiers: in the order that updateCrewTier counts by"""
    return {
        "tiers": [
            {
                "name": tier.name,
                "quotaBytes": tier.quota_bytes,
                "quotaFormatted": format_size(tier.quota_bytes),
                "scanOnPush": False,
            }
            for tier in hold_of(call).tiers
        ]
    }


@methods.method(
    "io.atcr.hold.exportUserData",
    auth=caller(missing=AUTH_REQUIRED),
    limits=calls(by_did, {HOUR_S: 20}),
)
async def export_user_data(call: XrpcCall) -> Answer:
    """io.atcr.hold.exportUserData"""
    async with call.ctx.large_work.wait(*call.ctx.askers()):
        return JsonBytes(await hold_of(call).personal.export(call.caller))


@methods.method(
    "io.atcr.hold.deleteUserData",
    auth=caller(missing=AUTH_REQUIRED),
    limits=calls(by_did, {HOUR_S: 20}),
    body_optional=True,
)
async def delete_user_data(call: XrpcCall) -> Answer:
    """io.atcr.hold.deleteUserData: the caller's records, not the bytes of images"""
    with answering():
        deleted = await hold_of(call).personal.delete(call.caller)
    return {
        "success": True,
        "crewDeleted": deleted.crew,
        "layersDeleted": deleted.layers,
        "statsDeleted": deleted.stats,
    }


def _asked(body: dict[str, Any]) -> tuple[str, frozenset[Permission]]:
    """Return the role and permissions that somebody gets who asks to join with `body`."""
    role = body["role"]
    permissions = Permission.among(body.get("permissions", ())) & _JOINING
    return (MEMBER_ROLE if role in _RESERVED_ROLES else role), permissions or _JOINING
