"""`/_holdfast/signing-key/{did or handle}`: replacing an account's signing key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.lifecycle.key_rotation import replace_signing_key

if TYPE_CHECKING:
    from pds.web.operator.call import OperatorCall


async def replace_key(call: OperatorCall) -> dict[str, Any]:
    """PUT: the server generates the key, and returns its public half."""
    account = call.get_account()
    key = await replace_signing_key(call.ctx, account)
    return {"did": account.did, "signingKey": key.did_key}
