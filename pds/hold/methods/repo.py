"""com.atproto.repo on the hold's repository: written by the captain and by crew admins.

Callers with a service token for the hold write to its repository; sessions write to those of their
accounts, as on a server that is no hold.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aiohttp import hdrs, web

from actor_store.writes import MAX_WRITES
from pds.accounts.errors import InvalidToken
from pds.api.repo import blobs, writes
from pds.hold.auth.token_rules import ALGORITHMS
from pds.hold.crew.repo_rules import RepoRules
from pds.hold.errors import answering
from pds.hold.hold import hold_of
from pds.hold.methods.authenticators import HoldCredentials, bearer_token, require, verify_caller
from pds.hold.permissions import Permission
from pds.hold.records import CREW, crew_rkey
from pds.jose.jwt import InvalidJwt, Jwt, read_unverified_jwt
from pds.service_auth.jwt import MAX_TOKEN_LENGTH, OTHER_TYPES
from pds.xrpc.auth import method_of
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.credentials import Authenticator, Credentials
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethod

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.repos.plans import Guard
    from repo.syntax import Did

_UPLOAD: Final = "com.atproto.repo.uploadBlob"
_WriteIn: TypeAlias = "Callable[[XrpcCall, Did, Guard], Awaitable[Answer]]"
_WRITERS: Final[dict[str, _WriteIn]] = {
    "com.atproto.repo.createRecord": writes.create_in,
    "com.atproto.repo.putRecord": writes.put_in,
    "com.atproto.repo.deleteRecord": writes.delete_in,
    "com.atproto.repo.applyWrites": writes.apply_in,
}
_AUTHORIZED: Final = "; or the captain or a crew admin, by a service token for the hold"


async def _write(standard: XrpcMethod, write_in: _WriteIn, call: XrpcCall) -> Answer:
    """Write to the hold's repository, or as the method does elsewhere."""
    if not isinstance(call.credentials, HoldCredentials):
        return await standard.handler(call)
    hold, did = hold_of(call), await require(call, Permission.ADMIN)
    if call.body["repo"] not in (hold.did, call.ctx.settings.hold_handle):
        raise invalid_request(f"a service token for the hold writes to {hold.did} alone")
    if len(call.body.get("writes", ())) > MAX_WRITES:
        raise invalid_request(f"Too many writes. Max: {MAX_WRITES}")
    call.body["validate"] = True
    members = {did, *_name_crew_records(call.body)}
    # One at a time, so that what is known about members' keys stays true until the commit.
    async with hold.crew.adding:
        rules = RepoRules(did, {each: await hold.roster.rkeys(each) for each in members})
        with answering():
            return await write_in(call, hold.did, rules.check)


async def _upload_blob(standard: XrpcMethod, call: XrpcCall) -> Answer:
    """Receive a blob for the hold's repository, or as the method does elsewhere."""
    if not isinstance(call.credentials, HoldCredentials):
        return await standard.handler(call)
    hold, did = hold_of(call), await require(call, Permission.ADMIN)
    rules = RepoRules(did, {did: await hold.roster.rkeys(did)})
    with answering():
        # Again when all of it is here: membership may have ended meanwhile.
        return await blobs.upload_to(call, hold.did, lambda actor, _: rules.check(actor, ()))


def _name_crew_records(body: dict[str, Any]) -> Iterator[str]:
    """Yield the members whose crew records are written; give new ones the key of this server."""
    for each in (body, *body.get("writes", ())):
        value = each.get("record", each.get("value"))
        member = value.get("member") if isinstance(value, dict) else None
        if each.get("collection") == CREW and isinstance(member, str):
            if not each.get("rkey"):
                each["rkey"] = crew_rkey(member)
            yield member


def _session_or_caller(standard: Authenticator) -> Authenticator:
    """Accept what `standard` accepts, and a service token for the hold."""

    async def check(ctx: AppContext, request: web.Request) -> Credentials:
        try:
            return await standard(ctx, request)
        except InvalidToken:
            # Only a token that is not a session's needs a second check.
            if _find_service_jwt(request) is None:
                raise
        return await verify_caller(request, bearer_token(request))

    return Authenticator(standard.demands + _AUTHORIZED, check)


def _upload_auth(standard: Authenticator) -> Authenticator:
    """Accept what `standard` accepts, and any other service token for the hold.

    A token that an account here has signed for uploading a blob is one for its own repository.
    """

    async def check(ctx: AppContext, request: web.Request) -> Credentials:
        jwt = _find_service_jwt(request)
        if jwt is None or _is_for_own_account(ctx, request, jwt):
            return await standard(ctx, request)
        return await verify_caller(request, bearer_token(request))

    return Authenticator(standard.demands + _AUTHORIZED, check)


def _is_for_own_account(ctx: AppContext, request: web.Request, jwt: Jwt) -> bool:
    claims = jwt.claims
    return (
        claims.get("lxm") == method_of(request)
        and claims.get("aud") == ctx.settings.service_did
        and ctx.accounts.find_account(str(claims.get("iss")), include_inactive=True) is not None
    )


def _find_service_jwt(request: web.Request) -> Jwt | None:
    """Return the token of a request, unverified, if it cannot be a session token."""
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        jwt = read_unverified_jwt(token, max_length=MAX_TOKEN_LENGTH)
    except InvalidJwt:
        return None
    is_service = jwt.header.get("alg") in ALGORITHMS and jwt.header.get("typ") not in OTHER_TYPES
    return jwt if is_service else None


def _extended() -> Iterator[XrpcMethod]:
    standard_methods: Iterable[XrpcMethod] = chain(writes.methods, blobs.methods)
    for standard in standard_methods:
        if standard.auth is None:
            continue
        if standard.nsid in _WRITERS:
            handler = partial(_write, standard, _WRITERS[standard.nsid])
            auth = _session_or_caller(standard.auth)
        elif standard.nsid == _UPLOAD:
            handler, auth = partial(_upload_blob, standard), _upload_auth(standard.auth)
        else:
            continue
        yield replace(standard, handler=handler, auth=auth)


methods: Final = tuple(_extended())
