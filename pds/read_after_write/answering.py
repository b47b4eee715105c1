"""Decides whether an AppView's answer is behind, and has it brought up to date.

The answer is good without that, so any error here is logged, and the answer is relayed as it came.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import hdrs

from pds.read_after_write.images import Images
from pds.read_after_write.local_records import find_local_records
from pds.read_after_write.merging import Merged, merge, merge_new_thread
from pds.read_after_write.proxied_appview import ProxiedAppView
from pds.read_after_write.requester import Requester
from pds.read_after_write.thread import GET_POST_THREAD
from repo.syntax import parse_at_uri
from repo.tid import is_tid

if TYPE_CHECKING:
    from pds.proxy.answers import UpstreamAnswer
    from pds.xrpc.call import XrpcCall

_NOT_FOUND: Final = "NotFound"

_log = structlog.get_logger(__name__)


async def merge_unseen(call: XrpcCall, nsid: str, answer: UpstreamAnswer) -> Merged | None:
    """Return the answer with the account's newer writes; None to relay it as it came.

    In nearly every case one statement decides, and the answer is not parsed.
    """
    try:
        requester = await _find_requester(call, answer)
        if requester is None:
            return None
        if answer.status == HTTPStatus.OK:
            return await merge(nsid, call.params, answer.body, requester)
        if nsid == GET_POST_THREAD and answer.error is not None and answer.error.name == _NOT_FOUND:
            height = call.params["parentHeight"]
            return await merge_new_thread(_wanted_post(call), requester, parent_height=height)
    except Exception:  # noqa: BLE001 (the answer, which may be anything, is good without it)
        _log.warning("read after write failed", method=nsid, did=call.user.did, exc_info=True)
    return None


async def _find_requester(call: XrpcCall, answer: UpstreamAnswer) -> Requester | None:
    """Return the account and what the AppView has not indexed; None if it has indexed all."""
    rev = answer.rev
    if rev is None or not is_tid(rev) or not _is_json(answer):
        return None
    ctx, did = call.ctx, call.user.did
    local = await ctx.actor_store.read(
        did, lambda actor: find_local_records(actor, rev, ctx.lexicons)
    )
    account = None if local is None else ctx.accounts.find_account(did)
    if local is None or account is None:
        return None  # A hidden account is shown nowhere, not even to itself.
    pattern = ctx.settings.services.appview_cdn_url_pattern
    images = Images(did, pattern, ctx.settings.public_url)
    appview = None if ctx.settings.appview is None else ProxiedAppView(call)
    return Requester(did, account.shown_handle, local, images, appview)


def _is_json(answer: UpstreamAnswer) -> bool:
    media_type = answer.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0]
    return media_type.strip().lower() == "application/json"


def _wanted_post(call: XrpcCall) -> str:
    """Return the URI of the post that getPostThread asks for, with the DID of its author."""
    uri = parse_at_uri(call.params["uri"])
    author = call.ctx.accounts.find_account(uri.authority)
    return str(uri if author is None else replace(uri, authority=author.did))
