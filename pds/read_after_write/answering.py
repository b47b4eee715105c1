"""Decides whether an answer of the AppView is behind, and has it made up to date.

That is an addition to an answer which is good without it: whatever goes wrong here is logged, and
the answer is passed on as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Final, Protocol

import orjson
import structlog

from pds.read_after_write.appview import AppView, as_object
from pds.read_after_write.images import Images
from pds.read_after_write.local_records import find_local_records
from pds.read_after_write.merging import Merged, merge, merge_new_thread
from pds.read_after_write.requester import Requester
from pds.read_after_write.thread import GET_POST_THREAD
from pds.xrpc.call import XrpcCall
from repo.syntax import parse_at_uri
from repo.tid import is_tid

REPO_REV: Final = "atproto-repo-rev"
"""Header of an AppView's answer: the last rev of the requesting account that it has seen."""
UPSTREAM_LAG: Final = "Atproto-Upstream-Lag"
"""Header of a merged answer: `Merged.lag_ms`."""

_log = structlog.get_logger(__name__)


class Upstream(Protocol):
    """An answer of the AppView whose body has not been read yet."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The whole body, decompressed."""


async def merge_unseen(
    call: XrpcCall, nsid: str, upstream: Upstream, appview: AppView | None
) -> Merged | None:
    """The answer with what the account has written since; None to pass it on as it came.

    In nearly every case that is settled by one statement, and the body is not read.
    """
    try:
        requester = await _find_requester(call, upstream, appview)
        if requester is None:
            return None
        if upstream.status == HTTPStatus.OK:
            return await merge(nsid, call.params, await upstream.read(), requester)
        if nsid == GET_POST_THREAD and _error_name(await upstream.read()) == "NotFound":
            height = call.params["parentHeight"]
            return await merge_new_thread(_wanted_post(call), requester, parent_height=height)
    except Exception:  # noqa: BLE001 (the answer, which may be anything, is passed on)
        _log.warning("read after write failed", method=nsid, did=call.user.did, exc_info=True)
    return None


async def _find_requester(
    call: XrpcCall, upstream: Upstream, appview: AppView | None
) -> Requester | None:
    """The account and what the AppView does not know; None if it knows all."""
    rev = upstream.headers.get(REPO_REV, "")
    if not is_tid(rev) or not _is_json(upstream):
        return None
    ctx, did = call.ctx, call.user.did
    local = await ctx.actor_store.read(
        did, lambda actor: find_local_records(actor, rev, ctx.lexicons)
    )
    if local is None:
        return None
    account = ctx.accounts.get_account(did)
    pattern = ctx.settings.services.appview_cdn_url_pattern
    images = Images(did, pattern, ctx.settings.public_url)
    return Requester(did, account.shown_handle, local, images, appview)


def _is_json(upstream: Upstream) -> bool:
    media_type = upstream.headers.get("Content-Type", "").partition(";")[0]
    return media_type.strip().lower() == "application/json"


def _error_name(body: bytes) -> object:
    return as_object(orjson.loads(body)).get("error")


def _wanted_post(call: XrpcCall) -> str:
    """The URI of the post that getPostThread is asked for, with the DID of its author."""
    uri = parse_at_uri(call.params["uri"])
    author = call.ctx.accounts.find_account(uri.authority)
    return str(uri if author is None else replace(uri, authority=author.did))
