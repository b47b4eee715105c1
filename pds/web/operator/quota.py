"""`/_holdfast/quota/{did or handle}`: how much space an account may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.accounts.quotas import MAX_BYTES, Quota
from pds.repos.usage import read_account_usage
from pds.xrpc.errors import invalid_request

if TYPE_CHECKING:
    from pds.web.operator.call import OperatorCall


async def set_quota(call: OperatorCall) -> dict[str, Any]:
    """PUT: `quotaBytes` is a number, "none" for no limit, or null for the default quota."""
    account = call.get_account()
    quota = _parse_quota(await call.json())
    await call.ctx.accounts.quotas.set(account.did, quota)
    return (await read_account_usage(call.ctx, account)).to_json()


def _parse_quota(body: Any) -> Quota | None:
    if not isinstance(body, dict) or "quotaBytes" not in body:
        raise invalid_request('A JSON object with "quotaBytes" is expected')
    match body["quotaBytes"]:
        case None:
            return None
        case "none":
            return Quota(None)
        case int(limit) if not isinstance(limit, bool) and 0 <= limit <= MAX_BYTES:
            return Quota(limit)
        case _:
            raise invalid_request(
                'quotaBytes must be a number of bytes from 0, "none" for no limit, or null for '
                "the default quota"
            )
