"""com.atproto.server.createAccount."""

from __future__ import annotations

from actor_store.errors import RepoExists
from pds.accounts.email_rules import check_email
from pds.accounts.errors import InvalidInviteCode
from pds.accounts.handle_rules import check_handle
from pds.accounts.passwords import MAX_NEW_LENGTH
from pds.accounts.scopes import PRIVILEGED
from pds.api.server.did_docs import find_did_doc
from pds.context import AppContext
from pds.lifecycle.signup import Signup, create_account
from pds.rate_limits.limit import MINUTE_S, by_ip
from pds.rate_limits.method_limits import calls
from pds.xrpc.auth import optional_service
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.credentials import AdminCredentials
from pds.xrpc.errors import auth_required, invalid_request
from pds.xrpc.methods import XrpcMethods
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


def _check_signup(call: XrpcCall) -> Signup:
    """Check a request for an account, in the reference's order. Raises 400s and a 401."""
    ctx, body = call.ctx, call.body
    if "plcOp" in body:
        raise invalid_request('Unsupported input: "plcOp"')
    did: str | None = body.get("did")
    is_owner = call.service is not None and call.service.issuer == did
    # First of all: when a move is resumed, its handle, address and invite code are in use, by it.
    if did is not None and is_owner and ctx.accounts.find_account(did, include_inactive=True):
        raise RepoExists(did)
    password: str | None = body.get("password")
    if password is not None and len(password) > MAX_NEW_LENGTH:
        raise invalid_request(f"Password too long. Maximum length is {MAX_NEW_LENGTH} characters.")
    code: str | None = body.get("inviteCode")
    # The administrator comes in this process only, and needs no code.
    is_operator = isinstance(call.credentials, AdminCredentials)
    invites_required = ctx.settings.invites.required and not is_operator
    if invites_required and not code:
        raise InvalidInviteCode("No invite code provided")
    if not body.get("email"):
        raise invalid_request("Email is required")
    check_email(body["email"])
    handle = check_handle(
        body["handle"], ctx.settings.service_handle_domains, did_known=did is not None
    )
    if invites_required and code:
        ctx.accounts.invites.ensure_available(code)
    _refuse_taken(ctx, handle.handle, body["email"])
    if did is not None and not is_owner:
        raise auth_required(f"Missing auth to create account with did: {did}")
    return Signup(
        handle,
        email=body["email"],
        password=password,
        invite_code=code,
        did=None if did is None else Did(did),
        recovery_key=body.get("recoveryKey"),
        asker=call.asker,
    )


def _refuse_taken(ctx: AppContext, handle: str, email: str) -> None:
    # Inactive accounts count as they will in the end: found out here, no DID is made in vain.
    if ctx.accounts.find_account(handle, include_inactive=True) is not None:
        raise invalid_request(f"Handle already taken: {handle}")
    if ctx.accounts.find_account_by_email(email, include_inactive=True) is not None:
        raise invalid_request(f"Email already taken: {email}")
