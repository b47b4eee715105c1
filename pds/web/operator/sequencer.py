"""`/_holdfast/sequencer`: raising the seq of the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.peers.events import raise_to
from pds.xrpc.errors import invalid_request

if TYPE_CHECKING:
    from pds.web.operator.call import OperatorCall


async def raise_seq(call: OperatorCall) -> dict[str, Any]:
    """PUT: from now on, no event gets the number `seq` or a lower one."""
    body = await call.json()
    seq = body.get("seq") if isinstance(body, dict) else None
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise invalid_request('A JSON object with "seq", a number from 1, is expected')
    before, after = await raise_to(call.ctx, seq)
    return {"before": before, "seq": after}
