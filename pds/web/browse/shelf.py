"""`Shelf`: where the pages find repositories and blobs, in whatever server they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pds.web.pages.public import PublicVisit
from repo.cid import Cid
from repo.syntax import Did


@dataclass(frozen=True, slots=True)
class ShownRepo:
    """A repository that everybody may read."""

    did: Did
    handle: str | None
    name: str | None
    """What the account calls itself."""

    @property
    def title(self) -> str:
        """The repository's title for people: its name, or else its handle or DID."""
        return self.name or self.handle or self.did


@dataclass(frozen=True, slots=True)
class Fact:
    """A line about a repository, such as whether its signature was verified."""

    label: str
    text: str
    code: str = ""
    """What is shown as code behind the text, such as a key."""


class Shelf(Protocol):
    """The repositories of one server."""

    async def find(self, did: str) -> ShownRepo:
        """Return a repository. Raises `PageError` for one that is not here, or not to be read."""

    async def facts(self, visit: PublicVisit, repo: ShownRepo) -> list[Fact]:
        """Return what is known about a repository, in the visitor's language."""

    async def media_type(self, repo: ShownRepo, cid: Cid) -> str | None:
        """Return the type of a blob as its bytes show it; None if the blob is not here."""

    shows_pictures: bool
    """Whether pages of this server can load its blobs, which may come from elsewhere."""
