"""The two servers of a move, as its steps see them: one of each is this server."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from repo.cid import Cid


@dataclass(slots=True, frozen=True)
class Contents:
    """What an account has at its old server."""

    handle: str
    email: str
    records: int
    blobs: int
    """The blobs that its records refer to."""
    missing_blobs: int
    """Those of them that the server has lost."""
    used_bytes: int | None
    """The space of repository and blobs; None if the server does not say."""


class OldServer(Protocol):
    """The server that an account leaves. Every method raises `MoveProblem`."""

    async def contents(self) -> Contents:
        """Return what there is to move."""
        ...

    async def rev(self) -> str:
        """Return the current rev of the repository."""
        ...

    def export(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open the repository as a CAR."""
        ...

    def blob(self, cid: Cid) -> AbstractAsyncContextManager[tuple[str, AsyncIterator[bytes]]]:
        """Open a blob: its media type and its bytes."""
        ...

    async def preferences(self) -> list[Any]:
        """Return the preferences."""
        ...

    async def send_code(self) -> None:
        """Mail a code that agrees to a change of the DID."""
        ...

    async def rotation_keys(self) -> list[str]:
        """Return the rotation keys that are the server's own, not the person's."""
        ...

    async def sign(self, code: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Sign an operation that gives the DID these fields."""
        ...

    async def deactivate(self) -> None:
        """Deactivate the account. May be repeated."""
        ...


class NewServer(Protocol):
    """The server that an account moves to. Every method raises `MoveProblem`."""

    async def import_repo(self, chunks: AsyncIterable[bytes]) -> None:
        """Replace the repository with a CAR."""
        ...

    async def missing(self, *, after: str | None) -> Sequence[Cid]:
        """Return some blobs that are referred to and missing, by CID; none at the end."""
        ...

    async def count_missing(self) -> int:
        """Return how many blobs are missing."""
        ...

    async def put_blob(self, cid: Cid, mime_type: str, chunks: AsyncIterable[bytes]) -> None:
        """Store a blob. Raises `BlobNotTaken` if it will never be taken."""
        ...

    async def put_preferences(self, preferences: list[Any]) -> None:
        """Replace the preferences."""
        ...

    async def did_fields(self) -> dict[str, Any]:
        """Return what the DID has to state for the account to be here."""
        ...

    async def submit(self, operation: dict[str, Any]) -> None:
        """Send an operation to the PLC directory, and announce it."""
        ...

    async def is_named(self) -> bool:
        """Whether the DID names this server."""
        ...

    async def activate(self) -> None:
        """Activate the account. May be repeated."""
        ...

    async def discard(self) -> None:
        """Delete the account that has been copied. May be repeated."""
        ...


class BlobNotTaken(Exception):
    """The new server does not take this blob, whatever is tried: it is too large, or another."""
