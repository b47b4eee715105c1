"""The scope `blob:`: uploading files of some media types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pds.oauth.scopes.syntax import read_fields, write_scope
from pds.oauth.scopes.values import ANY_TYPE, is_media_range, is_media_type


@dataclass(slots=True, frozen=True)
class BlobScope:
    """Leave to upload blobs whose type is among `types`, which may be `type/*` or `*/*`."""

    types: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> BlobScope | None:
        """Parse a scope; None if it is no valid scope of this kind."""
        fields = read_fields(text, "blob", "accept")
        types = () if fields is None else fields.get("accept", ())
        return cls(types) if types and all(map(is_media_range, types)) else None

    def allows(self, media_type: str) -> bool:
        """Whether the scope allows a media type without parameters."""
        return is_media_type(media_type) and any(_covers(one, media_type) for one in self.types)

    def __str__(self) -> str:
        """The scope as text, in its shortest form."""
        return write_scope("blob", ("accept", _shortest(self.types)))


def _covers(wanted: str, media_type: str) -> bool:
    if wanted.endswith("/*"):
        return wanted == ANY_TYPE or media_type.startswith(wanted[:-1])
    return wanted == media_type


def _shortest(types: Iterable[str]) -> tuple[str, ...]:
    """Return the types in lower case, without those that a wildcard among them covers."""
    each = frozenset(one.lower() for one in types)
    if ANY_TYPE in each:
        return (ANY_TYPE,)
    return tuple(sorted(one for one in each if one.endswith("/*") or _wildcard(one) not in each))


def _wildcard(media_type: str) -> str:
    return f"{media_type.partition('/')[0]}/*"
