"""`/_holdfast/firehose/subscribers`: the firehose's subscribers, and how far each has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pds.administration.whole_server import look_at_firehose

if TYPE_CHECKING:
    from pds.web.operator.call import OperatorCall


async def list_subscribers(call: OperatorCall) -> dict[str, Any]:
    """GET: all subscribers, oldest first; `pds.fairness.streams` limits their number."""
    firehose = await look_at_firehose(call.ctx)
    newest = firehose.newest_seq
    return {
        "newestSeq": newest,
        "subscribers": [each.to_json(newest) for each in firehose.subscribers],
    }
