"""`/_holdfast/firehose/subscribers`: the firehose's subscribers, and how far each has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pds.web.operator.call import OperatorCall


async def list_subscribers(call: OperatorCall) -> dict[str, Any]:
    """GET: all subscribers, oldest first; `pds.fairness.streams` limits their number."""
    newest = call.ctx.sequencer.current_seq
    return {
        "newestSeq": newest,
        "subscribers": [subscriber.to_json(newest) for subscriber in call.ctx.subscribers],
    }
