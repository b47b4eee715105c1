"""com.atproto.identity: asking for leave to have a PLC operation signed."""

from __future__ import annotations

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.errors import UnknownAccount
from pds.accounts.scopes import FULL, SessionScope
from pds.lifecycle.acting import get_acting_account
from pds.lifecycle.mailed_tokens import send_token
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import NOBODY, XrpcMethods

methods = XrpcMethods()


@methods.method(
    "com.atproto.identity.requestPlcOperationSignature",
    auth=user(FULL | {SessionScope.TAKENDOWN}),
    elsewhere=NOBODY,
)
async def request_plc_operation_signature(call: XrpcCall) -> Answer:
    """com.atproto.identity.requestPlcOperationSignature: also for who was taken down, to leave"""
    account = get_acting_account(call.ctx, call.user.did, absent=UnknownAccount())
    await send_token(call.ctx, account, EmailTokenPurpose.PLC_OPERATION)
    return None
