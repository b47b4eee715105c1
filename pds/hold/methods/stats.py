"""io.atcr.hold: how often images were pulled and pushed."""

from __future__ import annotations

from typing import Any

from pds.hold.hold import hold_of
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("io.atcr.hold.getStats")
async def get_stats(call: XrpcCall) -> Answer:
    """io.atcr.hold.getStats: zeros for what was never counted"""
    totals = await hold_of(call).stats.of(call.params["did"], call.params["repo"])
    return totals.to_json()


@methods.method("io.atcr.hold.listStats")
async def list_stats(call: XrpcCall) -> Answer:
    """io.atcr.hold.listStats"""
    did, limit = call.params["did"], call.params["limit"]
    found = await hold_of(call).stats.list(did, limit=limit, cursor=call.params.get("cursor"))
    answer: dict[str, Any] = {"stats": [each.to_json() for each in found]}
    if len(found) == limit:
        answer["cursor"] = found[-1].repository
    return answer
