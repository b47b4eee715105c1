"""`/_holdfast/hold/gc`: garbage collection, page by page."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pds.hold.errors import answering
from pds.hold.gc.collector import GcOptions
from pds.xrpc.errors import invalid_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pds.hold.gc.collector import GcCounts
    from pds.hold.hold import Hold
    from pds.web.operator.call import OperatorCall

_CURSOR: Final = 3_000
"""Characters; a cursor contains the at-uri of a manifest, and so a DID."""


async def collect_garbage(hold: Hold, call: OperatorCall) -> dict[str, Any]:
    """POST: do one page after `cursor`, and tell what was found; without `delete`, only look.

    The last page has no cursor. A client that leaves ends the collection after this page.
    """
    body = await call.json()
    if not isinstance(body, dict):
        raise invalid_request("A JSON object is expected")
    cursor = body.get("cursor")
    if cursor is not None and not (isinstance(cursor, str) and len(cursor) <= _CURSOR):
        raise invalid_request("Malformed cursor")
    options = GcOptions(
        delete=_flag(body, "delete"),
        check_manifests=_flag(body, "checkManifests"),
        unknown_origin=_flag(body, "unknownOrigin"),
    )
    with answering():
        page = await hold.gc.page(options, cursor)
    return {
        "counts": _counts_json(page.counts),
        "unresolved": page.unresolved,
        **({} if page.cursor is None else {"cursor": page.cursor}),
    }


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise invalid_request(f"{name} must be true or false")
    return value


def _counts_json(counts: GcCounts) -> dict[str, int]:
    """Return the counts under names such as `garbageBytes`."""
    return {
        first + "".join(word.capitalize() for word in rest): number
        for name, number in asdict(counts).items()
        for first, *rest in (name.split("_"),)
    }
