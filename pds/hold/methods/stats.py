"""io.atcr.hold: how often images were pulled and pushed."""

from __future__ import annotations

from typing import Any

from pds.hold.hold import hold_of
from pds.hold.stats.record import Totals
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("io.atcr.hold.getStats")
async def get_stats(call: XrpcCall) -> Answer:
    """io.atcr.hold.getStats: zeros for what was never counted"""
    return _json(await hold_of(call).stats.of(call.params["did"], call.params["repo"]))


@methods.method("io.atcr.hold.listStats")
async def list_stats(call: XrpcCall) -> Answer:
    """io.atcr.hold.listStats"""
    did, limit = call.params["did"], call.params["limit"]
    found = await hold_of(call).stats.list(did, limit=limit, cursor=call.params.get("cursor"))
    answer: dict[str, Any] = {
        "stats": [
            {"did": each.did, "repository": each.repository, **_json(each.totals)} for each in found
        ]
    }
    if len(found) == limit:
        answer["cursor"] = found[-1].repository
    return answer


def _json(totals: Totals) -> dict[str, Any]:
    times = {"lastPull": totals.last_pull, "lastPush": totals.last_push}
    return {
        "pullCount": totals.pulls,
        "pushCount": totals.pushes,
        **{name: time for name, time in times.items() if time is not None},
    }
