"""The blobs of a record, for its page: pictures, links, and blobs that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pds.web.browse.shelf import Shelf, ShownRepo
from repo.cid import Cid
from repo.dagcbor import Value
from repo.datamodel import BlobRef, iter_blob_refs, iter_maps

BLOBS_ON_A_PAGE: Final = 50
_ALT_CHARACTERS: Final = 1000
PICTURES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif")
"""Types that every browser shows."""


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """A blob as a record refers to it."""

    ref: BlobRef
    alt: str
    """The record's alternative text for a picture; may be empty."""


@dataclass(frozen=True, slots=True)
class ShownBlob:
    """A blob that a record refers to."""

    cid: str
    mime_type: str
    """As the record claims."""
    size: int
    """In bytes, as the record claims; -1 if it does not say."""
    alt: str
    is_here: bool
    is_picture: bool
    """Whether it is here and its bytes are those of a picture."""


def named_blobs(value: Value) -> tuple[list[NamedBlob], int]:
    """Return the first `BLOBS_ON_A_PAGE` blobs of a record, each once, and how many more."""
    refs = {ref.cid: ref for ref in iter_blob_refs(value)}
    alts = dict(_iter_alts(value))
    named = [
        NamedBlob(ref, alts.get(ref.cid, "")) for ref in islice(refs.values(), BLOBS_ON_A_PAGE)
    ]
    return named, len(refs) - len(named)


async def shown_blobs(shelf: Shelf, repo: ShownRepo, named: list[NamedBlob]) -> list[ShownBlob]:
    """Return what can be shown of these blobs."""
    return [await _look_at(shelf, repo, blob.ref, blob.alt) for blob in named]


async def _look_at(shelf: Shelf, repo: ShownRepo, ref: BlobRef, alt: str) -> ShownBlob:
    # The bytes decide, since a broken picture is worse than none.
    media_type = await shelf.media_type(repo, ref.cid)
    is_picture = shelf.shows_pictures and ref.mime_type in PICTURES and media_type in PICTURES
    return ShownBlob(str(ref.cid), ref.mime_type, ref.size, alt, media_type is not None, is_picture)


def _iter_alts(value: Value) -> Iterator[tuple[Cid, str]]:
    """Yield alternative texts: in the network's Lexicons they are beside the blob."""
    for item in iter_maps(value):
        alt = item.get("alt")
        if type(alt) is not str:
            continue
        for child in item.values():
            if type(child) is dict and type(ref := child.get("ref")) is Cid:
                yield ref, alt[:_ALT_CHARACTERS]
