"""The picture in the hold's profile, fetched from the URL of `PDS_HOLD_PROFILE_AVATAR`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from actor_store.blob_store.base import BlobStoreError
from actor_store.errors import ActorStoreError
from actor_store.media_type import media_type_of
from database.errors import DatabaseError
from identity.http import FetchError
from pds.hold.records import PROFILE, SELF, find_value, to_json
from pds.repos.blobs import UNKNOWN_TYPE, receive_blob
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from repo.syntax import Did

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.writes import PreparedWrite
    from pds.context import AppContext
    from repo.datamodel import BlobRef

MAX_AVATAR_BYTES: Final = 1_000_000
"""The limit of the Lexicon of profiles."""
_TYPES: Final = ("image/png", "image/jpeg")
_TIMEOUT_MS: Final = 10_000
_REDIRECTS: Final = 3
_REMEDY: Final = "The next start tries again. Unset PDS_HOLD_PROFILE_AVATAR for no picture."

_log = structlog.get_logger(__name__)


async def add_avatar(ctx: AppContext, url: str) -> None:
    """Fetch the picture and put it into the profile, unless the profile has one or is gone.

    A failure is logged; the next start tries again.
    """
    did = Did(ctx.settings.hold_did)
    try:
        if await ctx.actor_store.read(did, _profile_without_avatar) is None:
            return
        await _add(ctx, did, await _fetch(ctx, url))
    except _FAILURES as exc:
        _log.warning(
            "the hold's profile has no picture yet", url=url, reason=str(exc), remedy=_REMEDY
        )


class _NotAPicture(Exception):
    """The URL leads to something other than a PNG or JPEG."""


_FAILURES: Final = (ActorStoreError, BlobStoreError, DatabaseError, FetchError, _NotAPicture)


async def _fetch(ctx: AppContext, url: str) -> bytes:
    response = await ctx.proxy_http.get(
        url, timeout_ms=_TIMEOUT_MS, max_bytes=MAX_AVATAR_BYTES, max_redirects=_REDIRECTS
    )
    response.raise_for_status()
    kind = media_type_of(response.body, UNKNOWN_TYPE)
    if kind not in _TYPES:
        raise _NotAPicture(f"it is {kind}, and profiles have image/png or image/jpeg")
    return response.body


async def _add(ctx: AppContext, did: Did, picture: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield picture

    blob = await receive_blob(
        ctx, did, chunks(), declared_type=UNKNOWN_TYPE, max_bytes=MAX_AVATAR_BYTES
    )
    await commit(ctx, did, partial(_with_avatar, ctx, blob), blobs=(blob,))


def _with_avatar(
    ctx: AppContext, blob: BlobRef, actor: ActorStoreReader
) -> list[PreparedWrite] | None:
    profile = _profile_without_avatar(actor)
    if profile is None:
        return None
    profile |= {"$type": PROFILE, "avatar": blob.to_json()}
    return [prepare_write(ctx.lexicons, "update", PROFILE, SELF, profile, validate=False)]


def _profile_without_avatar(actor: ActorStoreReader) -> dict[str, Any] | None:
    value = find_value(actor, PROFILE, SELF)
    return None if value is None or value.get("avatar") is not None else to_json(value)
