"""Counting the blobs of a store, which the server does page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pds.reporting import Progress, counted, format_size

if TYPE_CHECKING:
    from pds.cli.operator import Server

PLACES: Final = ("permanent", "quarantined", "temporary")
"""Blobs of records, those taken down, and uploads that no record refers to."""
IN: Final = {"disk": "on the disk", "s3": "in S3"}
TO: Final = {"disk": "to the disk", "s3": "to S3"}
"""How messages name the stores."""


@dataclass(slots=True, frozen=True)
class Contents:
    """The number and total size of some blobs."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: Contents) -> Contents:
        return Contents(self.count + other.count, self.size_bytes + other.size_bytes)

    def __str__(self) -> str:
        return f"{counted(self.count, 'blob')}, {format_size(self.size_bytes)}"

    def to_json(self) -> dict[str, int]:
        """Number and size, as the server gives them."""
        return {"count": self.count, "bytes": self.size_bytes}


async def count_blobs(server: Server, store: str, progress: Progress) -> dict[str, Contents]:
    """Count what is in each place of a store, of a hold also layers. Raises `CommandFailed`."""
    contents = dict.fromkeys(PLACES, Contents())
    query: dict[str, str] = {}
    while True:
        page = await server.ask(
            "GET", "/_holdfast/blob-stores/{store}", names={"store": store}, query=query
        )
        for place, found in page["blobs"].items():
            counted_now = Contents(found["count"], found["bytes"])
            contents[place] = contents.get(place, Contents()) + counted_now
        progress(f"counting {IN[store]}", total(contents).count, 0)
        if page.get("cursor") is None:
            return contents
        query = {"cursor": page["cursor"]}


def total(contents: dict[str, Contents]) -> Contents:
    """Add up all places."""
    return sum(contents.values(), Contents())
