"""com.atproto.server: creating an account, and reserving the signing key of one that moves here."""

from __future__ import annotations

from actor_store.errors import RepoExists
from pds.accounts.availability import check_did_free
from pds.accounts.scopes import PRIVILEGED
from pds.lifecycle.errors import NoSignups
from pds.lifecycle.signup import Signup, check_signup, create_account
from pds.rate_limits.limit import MINUTE_S, by_ip
from pds.rate_limits.method_limits import calls
from pds.repos.stores import reserve_key
from pds.xrpc.auth import optional_service
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.credentials import AdminCredentials
from pds.xrpc.errors import auth_required, invalid_request
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.responses import find_did_doc
from repo.syntax import Did

methods = XrpcMethods()


@methods.method(
    "com.atproto.server.createAccount",
    auth=optional_service,
    limits=calls(by_ip, {5 * MINUTE_S: 100}),
    elsewhere=PRIVILEGED,
)
async def create_account_method(call: XrpcCall) -> Answer:
    """com.atproto.server.createAccount"""
    ctx = call.ctx
    signup = _check_signup(call)
    session = await create_account(ctx, signup)
    return {
        "handle": signup.handle.handle,
        "did": session.did,
        "accessJwt": session.access_jwt,
        "refreshJwt": session.refresh_jwt,
        **await find_did_doc(ctx, session.did),
    }


@methods.method("com.atproto.server.reserveSigningKey")
async def reserve_signing_key(call: XrpcCall) -> Answer:
    """com.atproto.server.reserveSigningKey: the same for a DID each time; not for accounts here"""
    ctx, did = call.ctx, call.body.get("did")
    if did is not None:
        check_did_free(ctx.accounts.store, did)
    holder = ctx.client_addresses.of(call.request).group
    return {"signingKey": await reserve_key(ctx, did, holder=holder)}


def _check_signup(call: XrpcCall) -> Signup:
    """Check a signup request, in the reference's order. Raises 400s and a 401."""
    ctx, body = call.ctx, call.body
    if ctx.settings.hold.only:
        raise NoSignups
    if "plcOp" in body:
        raise invalid_request('Unsupported input: "plcOp"')
    did: str | None = body.get("did")
    is_owner = call.service is not None and call.service.issuer == did
    # First, since the handle, address and invite code of a resumed move are in use: by itself.
    if did is not None and is_owner and ctx.accounts.find_account(did, include_inactive=True):
        raise RepoExists(did)
    handle = check_signup(
        ctx,
        handle=body["handle"],
        email=body.get("email") or "",
        password=body.get("password"),
        invite_code=body.get("inviteCode"),
        did_known=did is not None,
        # The administrator calls only in this process, and needs no code.
        by_operator=isinstance(call.credentials, AdminCredentials),
    )
    if did is not None and not is_owner:
        raise auth_required(f"Missing auth to create account with did: {did}")
    return Signup(
        handle,
        email=body["email"],
        password=body.get("password"),
        invite_code=body.get("inviteCode"),
        did=None if did is None else Did(did),
        recovery_key=body.get("recoveryKey"),
        asker=call.asker,
    )
