"""com.atproto.admin.sendEmail: mail from a moderator to an account."""

from __future__ import annotations

from typing import Final

from pds.accounts.errors import NoEmailAddress, UnknownAccount
from pds.lifecycle.acting import get_acting_account
from pds.xrpc.auth import moderator
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import NOBODY, XrpcMethods

methods = XrpcMethods()

_DEFAULT_SUBJECT: Final = "Message via your PDS"


@methods.method("com.atproto.admin.sendEmail", auth=moderator, elsewhere=NOBODY)
async def send_email(call: XrpcCall) -> Answer:
    """com.atproto.admin.sendEmail"""
    ctx, body = call.ctx, call.body
    absent = UnknownAccount("Recipient not found")
    account = get_acting_account(ctx, body["recipientDid"], absent=absent)
    if account.email is None:
        raise NoEmailAddress
    await ctx.mailer.send_from_moderation(
        account.email, subject=body.get("subject", _DEFAULT_SUBJECT), html=body["content"]
    )
    return {"sent": True}
