"""Profiles from before 2023: an update converts their images to typed blobs.

Clients send back what they have read, so without this an old profile could never be edited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actor_store.reader import ActorStoreReader
from pds.repos.errors import RecordRefused
from repo.cid import Cid, InvalidCid
from repo.datamodel import BlobRef, JsonValue
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext

PROFILE: Final = "app.bsky.actor.profile"
_IMAGES: Final = ("avatar", "banner")
_LEGACY_KEYS: Final = {"cid", "mimeType"}


async def upgrade_images(ctx: AppContext, did: Did, rkey: str, profile: Any) -> Any:
    """Return the JSON of a profile with typed blobs in place of its legacy images.

    A profile that replaces no stored one is returned unchanged. Raises `RecordRefused` for an
    image that was never uploaded.
    """
    if not isinstance(profile, dict):
        return profile
    legacy = {name: cid for name in _IMAGES if (cid := _legacy_cid(profile.get(name)))}
    if not legacy:
        return profile

    def typed(actor: ActorStoreReader) -> dict[str, Any]:
        if actor.record.find_cid(PROFILE, rkey) is None:
            return {}
        return {
            name: _typed_blob(actor, cid, profile[name]["mimeType"]) for name, cid in legacy.items()
        }

    return {**profile, **await ctx.actor_store.read(did, typed)}


def _legacy_cid(image: Any) -> Cid | None:
    if not isinstance(image, dict) or image.keys() != _LEGACY_KEYS:
        return None
    if not isinstance(image["cid"], str) or not isinstance(image["mimeType"], str):
        return None
    try:
        return Cid.parse(image["cid"])
    except InvalidCid:
        return None


def _typed_blob(actor: ActorStoreReader, cid: Cid, mime_type: str) -> JsonValue:
    stored = actor.blob.find(cid)
    if stored is None:
        raise RecordRefused("Blob not found")
    return BlobRef(cid, mime_type, stored.size).to_json()
