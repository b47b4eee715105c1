"""URLs of an account's images: at the AppView's CDN, or here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from repo.cid import Cid, InvalidCid

Preset: TypeAlias = Literal["avatar", "banner", "feed_thumbnail", "feed_fullsize"]
"""The size and shape in which a CDN serves an image."""


@dataclass(slots=True, frozen=True)
class Images:
    """The images of one account."""

    did: str
    cdn_url_pattern: str | None
    """Contains `%s` once each for preset, DID and CID, in this order; None without a CDN."""
    public_url: str
    """This server's URL, for images as they were uploaded."""

    def url(self, preset: Preset, cid: str) -> str:
        """Return the URL of an image."""
        if self.cdn_url_pattern is None:
            return f"{self.public_url}/xrpc/com.atproto.sync.getBlob?did={self.did}&cid={cid}"
        first, second, third, rest = self.cdn_url_pattern.split("%s")
        return f"{first}{preset}{second}{self.did}{third}{cid}{rest}"

    def find_url(self, preset: Preset, blob: object) -> str | None:
        """Return the URL of an image in a record, also in the form from before 2023; or None."""
        cid = _find_cid(blob)
        return None if cid is None else self.url(preset, cid)


def _find_cid(blob: Any) -> str | None:
    """Return the CID of a blob: from its `ref`, or from the legacy form as a string."""
    if type(blob) is not dict:
        return None
    if type(blob.get("ref")) is Cid:
        return str(blob["ref"])
    try:
        return str(Cid.parse(blob["cid"]))
    except (KeyError, TypeError, InvalidCid):
        return None
