"""com.atproto.identity: recommended DID contents, and users' own PLC operations.

An account that was taken down may have operations signed as well: it uses one to leave this server.
"""

from __future__ import annotations

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import UnknownAccount
from pds.accounts.scopes import FULL, SessionScope
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.mailed_tokens import send_token
from pds.lifecycle.plc_updates import ensure_plc, sign_operation, submit_operation
from pds.lifecycle.signup import did_credentials
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import NOBODY, XrpcMethods
from pds.xrpc.oauth_demands import ANY, identity

methods = XrpcMethods()


@methods.method("com.atproto.identity.getRecommendedDidCredentials", auth=user(oauth=ANY))
async def get_recommended_did_credentials(call: XrpcCall) -> Answer:
    """com.atproto.identity.getRecommendedDidCredentials: a did:web has no rotation keys"""
    ctx, did = call.ctx, call.user.did
    return did_credentials(ctx, get_acting_account(ctx, did))


@methods.method(
    "com.atproto.identity.requestPlcOperationSignature",
    auth=user(FULL | {SessionScope.TAKENDOWN}, oauth=identity("*")),
    elsewhere=NOBODY,
)
async def request_plc_operation_signature(call: XrpcCall) -> Answer:
    """com.atproto.identity.requestPlcOperationSignature: a mail with the token for signing"""
    account = get_acting_account(call.ctx, call.user.did, absent=UnknownAccount())
    await send_token(call.ctx, account, EmailTokenPurpose.PLC_OPERATION)
    return None


@methods.method(
    "com.atproto.identity.signPlcOperation",
    auth=user(FULL | {SessionScope.TAKENDOWN}, oauth=identity("*")),
    elsewhere=NOBODY,
)
async def sign_plc_operation(call: XrpcCall) -> Answer:
    """com.atproto.identity.signPlcOperation: fields that are left out keep their values"""
    did, token = call.user.did, call.body.get("token")
    ensure_plc(did)
    if not token:
        raise invalid_request("email confirmation token required to sign PLC operations")
    operation = await sign_operation(call.ctx, did, token, call.body)
    return {"operation": operation.to_json()}


@methods.method("com.atproto.identity.submitPlcOperation", auth=user(oauth=identity("*")))
async def submit_plc_operation(call: XrpcCall) -> Answer:
    """com.atproto.identity.submitPlcOperation"""
    ctx, did = call.ctx, call.user.did
    ensure_plc(did)
    await submit_operation(ctx, get_acting_account(ctx, did), call.body["operation"])
    return None
