"""`/_holdfast/signing-key/{did or handle}`: another signing key for an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.lifecycle.key_rotation import replace_signing_key
from pds.web.operator.answers import get_account

if TYPE_CHECKING:
    from aiohttp import web

    from pds.context import AppContext


async def replace_key(ctx: AppContext, request: web.Request) -> dict[str, Any]:
    """PUT: the server makes the key, and tells the public half of it."""
    account = get_account(ctx, request)
    key = await replace_signing_key(ctx, account)
    return {"did": account.did, "signingKey": key.did_key}
