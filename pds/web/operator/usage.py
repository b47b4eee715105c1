"""`/_holdfast/usage` and `/_holdfast/storage`: the space that accounts and the server use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pds.disk.sizes import DatabaseTotals, FileTotals
from pds.disk.usage import Disk, find_disks, measure_services
from pds.repos.usage import read_account_usage
from pds.xrpc.errors import invalid_request

if TYPE_CHECKING:
    from pds.config import Settings
    from pds.web.operator.call import OperatorCall

_DEFAULT_LIMIT: Final = 50
_MAX_LIMIT: Final = 100
_PATIENCE_S: Final = 20.0
"""How long an answer waits for sizes that have never been measured."""


async def list_usage(call: OperatorCall) -> dict[str, Any]:
    """GET /_holdfast/usage: a page of accounts, oldest first."""
    ctx = call.ctx
    limit = call.get_limit(default=_DEFAULT_LIMIT, most=_MAX_LIMIT)
    page = ctx.accounts.store.list_page(limit=limit, after=_parse_cursor(call.query.get("cursor")))
    answer: dict[str, Any] = {
        "accounts": [(await read_account_usage(ctx, account)).to_json() for account in page]
    }
    if len(page) == limit:
        answer["cursor"] = f"{page[-1].created_at}::{page[-1].did}"
    return answer


async def account_usage(call: OperatorCall) -> dict[str, Any]:
    """GET /_holdfast/usage/{did or handle}"""
    return (await read_account_usage(call.ctx, call.get_account())).to_json()


async def server_storage(call: OperatorCall) -> dict[str, Any]:
    """GET /_holdfast/storage: actors and blobs as of some minutes ago.

    Null if that is not known yet; blobs also if they are in S3.
    """
    survey = await call.ctx.storage.current(patience_s=_PATIENCE_S)
    services, disks = await asyncio.to_thread(_look, call.ctx.settings)
    return {
        "databases": {name: _database_json(totals) for name, totals in services.items()},
        "actorStores": survey
        and {
            "count": survey.totals.actor_stores.count,
            **_database_json(survey.totals.actor_stores),
        },
        "blobs": survey and survey.totals.blobs and _files_json(survey.totals.blobs),
        "uploads": survey and survey.totals.uploads and _files_json(survey.totals.uploads),
        "measuredAt": survey and survey.measured_at,
        "disks": [
            {
                "directory": str(disk.directory),
                "totalBytes": disk.total_bytes,
                "freeBytes": disk.free_bytes,
            }
            for disk in disks
        ],
    }


def _look(settings: Settings) -> tuple[dict[str, DatabaseTotals], list[Disk]]:
    return measure_services(settings), find_disks(settings)


def _parse_cursor(cursor: str | None) -> tuple[str, str] | None:
    if not cursor:
        return None
    created_at, separator, did = cursor.partition("::")
    if not separator:
        raise invalid_request("Malformed cursor")
    return created_at, did


def _database_json(totals: DatabaseTotals) -> dict[str, int]:
    return {"bytes": totals.size_bytes, "walBytes": totals.wal_bytes}


def _files_json(totals: FileTotals) -> dict[str, int]:
    return {"count": totals.count, "bytes": totals.size_bytes}
