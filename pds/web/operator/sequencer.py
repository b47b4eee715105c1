"""`/_holdfast/sequencer`: where the event log goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.xrpc.body import JSON_LIMIT_BYTES, parse_json, read_json
from pds.xrpc.errors import invalid_request

if TYPE_CHECKING:
    from aiohttp import web

    from pds.context import AppContext


async def raise_seq(ctx: AppContext, request: web.Request) -> dict[str, Any]:
    """PUT: `seq` is a number that no event gets from now on, nor any below it."""
    body = parse_json(await read_json(request, JSON_LIMIT_BYTES))
    seq = body.get("seq") if isinstance(body, dict) else None
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise invalid_request('A JSON object with "seq", a number from 1, is expected')
    before = ctx.sequencer.current_seq
    await ctx.sequencer.raise_to(seq)
    return {"before": before, "seq": ctx.sequencer.current_seq}
