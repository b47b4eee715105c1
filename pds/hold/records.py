"""The records of a hold: captain, crew, stats and layers, and the keys of these records.

Values are JSON objects. A change starts from the stored value, so that unknown fields are kept.
Source: the Lexicons `io.atcr.hold.*`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from pds.hold.permissions import Permission
from repo import dagcbor
from repo.datamodel import json_default
from repo.syntax import is_did

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader

CAPTAIN: Final = "io.atcr.hold.captain"
CREW: Final = "io.atcr.hold.crew"
STATS: Final = "io.atcr.hold.stats"
LAYER: Final = "io.atcr.hold.layer"
PROFILE: Final = "app.bsky.actor.profile"
POST: Final = "app.bsky.feed.post"
SELF: Final = "self"
"""The record key of the captain and of the profile."""
MANIFEST: Final = "io.atcr.manifest"
"""The collection of manifests, in the repositories of those who push."""
OWNER_ROLE: Final = "owner"
MEMBER_ROLE: Final = "member"
_MAX_RKEY: Final = 512


@dataclass(frozen=True, slots=True)
class Captain:
    """The captain record: who owns the hold, and whom it serves."""

    owner: str
    """A DID; empty, and so nobody's, if the record names none."""
    public: bool
    allow_all_crew: bool
    bluesky_posts: bool

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Captain:
        """Read a stored record; flags that are missing or of another type are off."""
        owner = value.get("owner")
        return cls(
            owner=owner if isinstance(owner, str) and is_did(owner) else "",
            public=value.get("public") is True,
            allow_all_crew=value.get("allowAllCrew") is True,
            bluesky_posts=value.get("enableBlueskyPosts") is True,
        )


@dataclass(frozen=True, slots=True)
class CrewMember:
    """A crew record. Only `permissions` decides access, never `role`."""

    rkey: str
    member: str
    role: str
    permissions: frozenset[Permission]
    tier: str | None
    added_at: str

    @classmethod
    def of(cls, rkey: str, value: Mapping[str, Any]) -> CrewMember | None:
        """Read a stored record; unknown permissions are ignored. None if it names no member."""
        member, tier = value.get("member"), value.get("tier")
        if not isinstance(member, str):
            return None
        named = value.get("permissions")
        names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else ()
        return cls(
            rkey=rkey,
            member=member,
            role=str(value.get("role", "")),
            permissions=Permission.among(names),
            tier=tier if isinstance(tier, str) and tier else None,
            added_at=str(value.get("addedAt", "")),
        )


def crew_value(
    member: str,
    *,
    role: str,
    permissions: Iterable[Permission],
    added_at: str,
    tier: str | None = None,
) -> dict[str, Any]:
    """Return a new crew record."""
    return {
        "$type": CREW,
        "member": member,
        "role": role,
        "permissions": Permission.names_of(frozenset(permissions)),
        "addedAt": added_at,
        **({"tier": tier} if tier else {}),
    }


def read_value(block: bytes) -> dict[str, Any] | None:
    """Decode a stored record; None if it is no object."""
    try:
        value = dagcbor.decode(block)
    except dagcbor.InvalidDagCbor:
        return None
    return value if isinstance(value, dict) else None


def find_value(
    actor: ActorStoreReader, collection: str, rkey: str, *, include_takendown: bool = False
) -> dict[str, Any] | None:
    """Return a record as it is decoded; None if it does not exist or is no object."""
    found = actor.record.find(collection, rkey, include_takendown=include_takendown)
    return None if found is None else read_value(found.block)


def to_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a decoded record, from which it can be written again."""
    json: dict[str, Any] = orjson.loads(orjson.dumps(value, default=json_default))
    return json


def crew_rkey(member: str) -> str:
    """Return the key under which this server writes a member's record."""
    return _short_hash(member)


def stats_rkey(owner_did: str, repository: str) -> str:
    """Return the key under which this server writes the stats of an image repository.

    It is the unpadded base64url of `<did>:<repository>`, or the published key (the base32 of a
    hash) if that would be longer than a record key may be.
    """
    key = base64.urlsafe_b64encode(f"{owner_did}:{repository}".encode()).decode().rstrip("=")
    return key if len(key) <= _MAX_RKEY else published_stats_rkey(owner_did, repository)


def published_stats_rkey(owner_did: str, repository: str) -> str:
    """Return the key that the published Lexicon describes, under which other holds write."""
    return _short_hash(f"{owner_did}/{repository}")


def manifest_uri(user_did: str, digest: str) -> str:
    """Return the at-uri of a manifest's record, whose key is the hex part of its digest."""
    return f"at://{user_did}/{MANIFEST}/{digest.partition(':')[2] or digest}"


def _short_hash(text: str) -> str:
    """Return the first 16 bytes of the SHA-256 in lower-case unpadded base32."""
    digest = hashlib.sha256(text.encode()).digest()[:16]
    return base64.b32encode(digest).decode().rstrip("=").lower()
