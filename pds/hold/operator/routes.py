"""The operator's routes of a hold, below `/_holdfast/hold`: for `pds hold`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from actor_store.errors import SigningKeyUnusable
from actor_store.writes import UNSET, Unset
from identity.handles import HandleUnresolvable
from pds.hold.crew.crew import CrewRecord, MemberUnknown
from pds.hold.errors import answering
from pds.hold.operator.gc import collect_garbage
from pds.hold.operator.listing import crew_page, stats_of_owner, stats_page
from pds.hold.operator.totals import read_totals
from pds.hold.permissions import Permission
from pds.hold.records import MEMBER_ROLE, CrewMember
from pds.lifecycle.handles import resolve_handle
from pds.xrpc.errors import XrpcError, invalid_request
from repo.syntax import Did, InvalidSyntax, normalize_handle, parse_did

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.hold.hold import Hold
    from pds.web.operator.call import OperatorCall, OperatorHandler

HoldHandler: TypeAlias = "Callable[[Hold, OperatorCall], Awaitable[dict[str, Any]]]"

_DEFAULT_LIMIT: Final = 100
_MAX_LIMIT: Final = 500


def hold_handlers(hold: Hold) -> Mapping[tuple[str, str], OperatorHandler]:
    """Return the handlers of `hold`, by verb and path."""
    return {route: partial(handler, hold) for route, handler in HOLD_ROUTES.items()}


def _find_key(hold: Hold, call: OperatorCall) -> str | None:
    try:
        return call.ctx.actor_store.key(hold.did).did_key
    except SigningKeyUnusable:
        return None


async def hold_status(hold: Hold, call: OperatorCall) -> dict[str, Any]:
    """GET /_holdfast/hold: what the hold is, and how much it has."""
    captain = await hold.roster.captain()
    counts = await call.ctx.actor_store.read_in_thread(
        hold.did, lambda actor: actor.record.counts()
    )
    totals = await asyncio.to_thread(read_totals, call.ctx.settings.hold_db_path)
    return {
        **_named(call.ctx, hold.did),
        "url": hold.url,
        "signingKey": _find_key(hold, call),
        "captain": _named(call.ctx, captain.owner),
        "public": captain.public,
        "allowAllCrew": captain.allow_all_crew,
        "records": counts,
        **totals.to_json(),
        "relays": [*call.ctx.settings.crawlers],
        "discovery": [*hold.settings.discovery_urls],
    }


async def list_crew(hold: Hold, call: OperatorCall) -> dict[str, Any]:
    """GET /_holdfast/hold/crew: a page of members, in the order of their records' keys."""
    limit = call.get_limit(default=_DEFAULT_LIMIT, most=_MAX_LIMIT)
    read = partial(crew_page, limit=limit, after=call.query.get("cursor"))
    page = await call.ctx.actor_store.read(hold.did, read)
    return {
        "crew": [_member_json(call.ctx, member) for member in page.entries],
        **({} if page.cursor is None else {"cursor": page.cursor}),
    }


async def put_member(hold: Hold, call: OperatorCall) -> dict[str, Any]:
    """PUT /_holdfast/hold/crew/{did or handle}: add a member, or change what the body has."""
    body = await call.json()
    if not isinstance(body, dict):
        raise invalid_request("A JSON object is expected")
    permissions, role, tier = _permissions(body), _text(body, "role"), _tier(hold, body)
    did = await _find_did(call.ctx, call.names["member"])
    with answering():
        try:
            record = await hold.crew.update(did, permissions=permissions, role=role, tier=tier)
        except MemberUnknown:
            record = await hold.crew.add(
                did,
                permissions=(Permission.READ, Permission.WRITE)
                if permissions is None
                else permissions,
                role=role or MEMBER_ROLE,
                tier=None if isinstance(tier, Unset) else tier,
            )
    return _record_json(call.ctx, record)


async def remove_member(hold: Hold, call: OperatorCall) -> dict[str, Any]:
    """DELETE /_holdfast/hold/crew/{did or handle}: end a membership at once."""
    did = await _find_did(call.ctx, call.names["member"])
    with answering():
        await hold.crew.remove(did)
    return {"did": did}


async def list_stats(hold: Hold, call: OperatorCall) -> dict[str, Any]:
    """GET /_holdfast/hold/stats: a page of repositories, of one `owner` if that is given."""
    limit = call.get_limit(default=_DEFAULT_LIMIT, most=_MAX_LIMIT)
    named = call.query.get("owner")
    owner = await _find_did(call.ctx, named) if named else None
    after = call.query.get("cursor")
    if owner is None:
        page = await stats_page(hold, limit=limit, after=after)
    else:
        page = await stats_of_owner(hold, owner, limit=limit, after=after)
    return {
        "stats": [each.to_json() for each in page.entries],
        **({} if page.cursor is None else {"cursor": page.cursor}),
    }


HOLD_ROUTES: Final[Mapping[tuple[str, str], HoldHandler]] = {
    ("GET", "/_holdfast/hold"): hold_status,
    ("GET", "/_holdfast/hold/crew"): list_crew,
    ("PUT", "/_holdfast/hold/crew/{member}"): put_member,
    ("DELETE", "/_holdfast/hold/crew/{member}"): remove_member,
    ("GET", "/_holdfast/hold/stats"): list_stats,
    ("POST", "/_holdfast/hold/gc"): collect_garbage,
}
"""The routes by verb and path."""


async def _find_did(ctx: AppContext, identifier: str) -> Did:
    """Return the DID that an operator names, or that of a handle. Raises `XrpcError`."""
    try:
        if identifier.startswith("did:"):
            return parse_did(identifier)
        handle = normalize_handle(identifier.removeprefix("@"))
        did = await resolve_handle(ctx, handle)
    except InvalidSyntax as exc:
        raise invalid_request(f"{identifier[:300]} is neither a DID nor a handle") from exc
    except HandleUnresolvable as exc:
        raise invalid_request(str(exc)) from exc
    if did is None:
        raise XrpcError(404, "HandleNotFound", f"The handle {handle} leads to no DID")
    return did


def _permissions(body: Mapping[str, Any]) -> frozenset[Permission] | None:
    named = body.get("permissions")
    if named is None:
        return None
    known = [each.value for each in Permission]
    if not isinstance(named, list) or not all(each in known for each in named):
        raise invalid_request(f"permissions must be among {', '.join(known)}")
    return Permission.among(named)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_request(f"{name} must be text")
    return value


def _tier(hold: Hold, body: Mapping[str, Any]) -> str | Unset | None:
    if "tier" not in body:
        return UNSET
    name = _text(body, "tier") or None
    known = [tier.name for tier in hold.tiers]
    if name is not None and name not in known:
        # The member would have the default quota, and nobody would notice.
        has = ", ".join(known) or "nothing"
        raise invalid_request(f"there is no tier {name!r:.100}: PDS_HOLD_TIERS has {has}")
    return name


def _named(ctx: AppContext, did: str) -> dict[str, Any]:
    """Return a DID, and the handle of an account of this server."""
    account = ctx.accounts.find_account(did, include_inactive=True) if did else None
    return {"did": did, "handle": account.handle if account else None}


def _member_json(ctx: AppContext, member: CrewMember) -> dict[str, Any]:
    return {
        **_named(ctx, member.member),
        "role": member.role,
        "permissions": Permission.names_of(member.permissions),
        "tier": member.tier,
        "addedAt": member.added_at,
    }


def _record_json(ctx: AppContext, record: CrewRecord) -> dict[str, Any]:
    return {
        "change": record.change,
        "uri": record.uri,
        "cid": record.cid,
        **_member_json(ctx, record.member),
    }
