"""`/_holdfast/second-factors/{did or handle}`: second factors of people who have lost them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.lifecycle.second_factors import FactorChange, tell_owner

if TYPE_CHECKING:
    from pds.web.operator.call import OperatorCall


async def reset_second_factors(call: OperatorCall) -> dict[str, Any]:
    """DELETE: remove them all, so that the password alone signs in; tells which there were."""
    account = call.get_account()
    factors = call.ctx.second_factors.of(account.did)
    await call.ctx.second_factors.reset(account.did)
    tell_owner(call.ctx, account, FactorChange.RESET)
    return {
        "did": account.did,
        "removed": {
            "authenticatorApp": factors.app_since is not None,
            "mailedCodes": factors.mail_since is not None,
            "passkeys": len(factors.passkeys),
            "recoveryCodes": factors.recovery_codes,
        },
    }
