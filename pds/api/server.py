"""com.atproto.server: the server itself, accounts, sessions, app passwords, invite codes."""

from __future__ import annotations

from typing import Any

from identity.resolver import DidResolutionError
from pds import lifecycle
from pds.accounts.account import ActorAccount
from pds.accounts.email_rules import check_email
from pds.accounts.errors import InvalidInviteCode
from pds.accounts.handle_rules import check_handle
from pds.accounts.invites import ADMIN
from pds.accounts.passwords import MAX_NEW_LENGTH
from pds.accounts.scopes import FULL, STANDARD, SessionScope
from pds.accounts.session_operations import Session
from pds.context import AppContext
from pds.signup import Signup, create_account
from pds.xrpc.auth import admin, optional_service, refresh, user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import auth_required, invalid_request
from pds.xrpc.methods import XrpcMethods
from repo.syntax import Did

methods = XrpcMethods()


@methods.method("com.atproto.server.describeServer")
async def describe_server(call: XrpcCall) -> Answer:
    """com.atproto.server.describeServer"""
    settings = call.ctx.settings
    service = settings.service
    links = {
        "privacyPolicy": service.privacy_policy_url,
        "termsOfService": service.terms_of_service_url,
    }
    return {
        "did": settings.service_did,
        "availableUserDomains": list(settings.service_handle_domains),
        "inviteCodeRequired": settings.invites.required,
        "blobUploadLimit": service.blob_upload_limit_bytes,
        "links": _present(links),
        "contact": _present({"email": service.contact_email_address}),
    }


@methods.method("com.atproto.server.createAccount", auth=optional_service)
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
        **await _find_did_doc(ctx, session.did),
    }


@methods.method("com.atproto.server.createSession")
async def create_session(call: XrpcCall) -> Answer:
    """com.atproto.server.createSession"""
    body, accounts = call.body, call.ctx.accounts
    login = await accounts.login(
        body["identifier"],
        body["password"],
        allow_takendown=body.get("allowTakendown", False),
    )
    session = await accounts.create_session(login)
    return await _session_output(call.ctx, login.account, session)


@methods.method("com.atproto.server.refreshSession", auth=refresh())
async def refresh_session(call: XrpcCall) -> Answer:
    """com.atproto.server.refreshSession"""
    ctx, did = call.ctx, call.refresh.did
    account = ctx.accounts.find_account(did, include_inactive=True)
    if account is None:
        raise invalid_request(f"Could not find user info for account: {did}")
    if account.takedown_ref is not None:
        raise auth_required("Account has been taken down", "AccountTakedown")
    session = await ctx.accounts.rotate_refresh_token(call.refresh.jti)
    return await _session_output(ctx, account, session)


@methods.method("com.atproto.server.deleteSession", auth=refresh(allow_expired=True))
async def delete_session(call: XrpcCall) -> Answer:
    """com.atproto.server.deleteSession"""
    await call.ctx.accounts.revoke_refresh_token(call.refresh.jti)
    return None


@methods.method("com.atproto.server.getSession", auth=user(STANDARD | {SessionScope.SIGNUP_QUEUED}))
async def get_session(call: XrpcCall) -> Answer:
    """com.atproto.server.getSession"""
    ctx, did = call.ctx, call.user.did
    account = ctx.accounts.find_account(did, include_deactivated=True)
    if account is None:
        raise invalid_request(f"Could not find user info for account: {did}")
    return {**_account_output(account), **await _session_did_doc(ctx, did)}


@methods.method("com.atproto.server.createAppPassword", auth=user(FULL, refuse_takendown=True))
async def create_app_password(call: XrpcCall) -> Answer:
    """com.atproto.server.createAppPassword"""
    created, password = await call.ctx.accounts.create_app_password(
        call.user.did, call.body["name"], privileged=call.body.get("privileged", False)
    )
    return {
        "name": created.name,
        "password": password,
        "createdAt": created.created_at,
        "privileged": created.privileged,
    }


@methods.method("com.atproto.server.listAppPasswords", auth=user())
async def list_app_passwords(call: XrpcCall) -> Answer:
    """com.atproto.server.listAppPasswords"""
    return {
        "passwords": [
            {"name": one.name, "createdAt": one.created_at, "privileged": one.privileged}
            for one in call.ctx.accounts.list_app_passwords(call.user.did)
        ]
    }


@methods.method("com.atproto.server.revokeAppPassword", auth=user())
async def revoke_app_password(call: XrpcCall) -> Answer:
    """com.atproto.server.revokeAppPassword"""
    await call.ctx.accounts.revoke_app_password(call.user.did, call.body["name"])
    return None


@methods.method("com.atproto.server.createInviteCode", auth=admin)
async def create_invite_code(call: XrpcCall) -> Answer:
    """com.atproto.server.createInviteCode"""
    account = call.body.get("forAccount", ADMIN)
    codes = await call.ctx.accounts.create_invite_codes(
        [account], count=1, uses=call.body["useCount"]
    )
    return {"code": codes[account][0]}


@methods.method("com.atproto.server.createInviteCodes", auth=admin)
async def create_invite_codes(call: XrpcCall) -> Answer:
    """com.atproto.server.createInviteCodes"""
    body = call.body
    codes = await call.ctx.accounts.create_invite_codes(
        body.get("forAccounts", [ADMIN]),
        count=body.get("codeCount", 1),
        uses=body["useCount"],
    )
    return {"codes": [{"account": account, "codes": made} for account, made in codes.items()]}


@methods.method("com.atproto.server.activateAccount", auth=user(FULL))
async def activate_account(call: XrpcCall) -> Answer:
    """com.atproto.server.activateAccount"""
    await lifecycle.activate(call.ctx, call.user.did)
    return None


@methods.method("com.atproto.server.deactivateAccount", auth=user(FULL | {SessionScope.TAKENDOWN}))
async def deactivate_account(call: XrpcCall) -> Answer:
    """com.atproto.server.deactivateAccount"""
    await lifecycle.deactivate(call.ctx, call.user.did, delete_after=call.body.get("deleteAfter"))
    return None


def _check_signup(call: XrpcCall) -> Signup:
    """Check a request for an account, in the reference's order. Raises 400s and a 401."""
    ctx, body = call.ctx, call.body
    if "plcOp" in body:
        raise invalid_request('Unsupported input: "plcOp"')
    password: str | None = body.get("password")
    if password is not None and len(password) > MAX_NEW_LENGTH:
        raise invalid_request(f"Password too long. Maximum length is {MAX_NEW_LENGTH} characters.")
    code: str | None = body.get("inviteCode")
    invites_required = ctx.settings.invites.required
    if invites_required and not code:
        raise InvalidInviteCode("No invite code provided")
    if not body.get("email"):
        raise invalid_request("Email is required")
    check_email(body["email"])
    did: str | None = body.get("did")
    handle = check_handle(
        body["handle"], ctx.settings.service_handle_domains, did_known=did is not None
    )
    if invites_required and code:
        ctx.accounts.invites.ensure_available(code)
    _refuse_taken(ctx, handle.handle, body["email"])
    if did is not None and (call.service is None or call.service.issuer != did):
        raise auth_required(f"Missing auth to create account with did: {did}")
    return Signup(
        handle,
        email=body["email"],
        password=password,
        invite_code=code,
        did=None if did is None else Did(did),
        recovery_key=body.get("recoveryKey"),
    )


def _refuse_taken(ctx: AppContext, handle: str, email: str) -> None:
    # Inactive accounts count as they will in the end: found out here, no DID is made in vain.
    if ctx.accounts.find_account(handle, include_inactive=True) is not None:
        raise invalid_request(f"Handle already taken: {handle}")
    if ctx.accounts.find_account_by_email(email, include_inactive=True) is not None:
        raise invalid_request(f"Email already taken: {email}")


async def _session_output(
    ctx: AppContext, account: ActorAccount, session: Session
) -> dict[str, Any]:
    return {
        "accessJwt": session.access_jwt,
        "refreshJwt": session.refresh_jwt,
        **_account_output(account),
        **await _session_did_doc(ctx, account.did),
    }


def _account_output(account: ActorAccount) -> dict[str, Any]:
    output: dict[str, Any] = {
        "did": account.did,
        "handle": account.shown_handle,
        "emailConfirmed": account.email_confirmed_at is not None,
        "active": account.active,
    }
    if account.email is not None:
        output["email"] = account.email
    if not account.active:
        output["status"] = account.status
    return output


async def _session_did_doc(ctx: AppContext, did: Did) -> dict[str, Any]:
    if not ctx.settings.identity.enable_did_doc_with_session:
        return {}
    return await _find_did_doc(ctx, did)


async def _find_did_doc(ctx: AppContext, did: Did) -> dict[str, Any]:
    """`didDoc`, if it can be had: it is a courtesy of the answer, not its point."""
    try:
        document = await ctx.did_resolver.resolve(did)
    except DidResolutionError:
        return {}
    return {"didDoc": document.raw}


def _present(values: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
