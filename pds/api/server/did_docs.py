"""The DID documents that answers about an account carry."""

from __future__ import annotations

from typing import Any

from identity.resolver import DidResolutionError
from pds.context import AppContext
from repo.syntax import Did


async def find_did_doc(ctx: AppContext, did: Did) -> dict[str, Any]:
    """`didDoc`, if it can be had: it is a courtesy of the answer, not its point."""
    try:
        document = await ctx.did_resolver.resolve(did)
    except DidResolutionError:
        return {}
    return {"didDoc": document.raw}
