"""What can go wrong in the actor store.

::

    ActorStoreError
    ├── RepoNotFound        no actor store for this DID
    ├── RepoExists          there is one already
    ├── ActorStoreDamaged   its files cannot be read: this actor is held back, others are not
    │   └── SigningKeyUnusable  the key is missing, or none; its database is sound
    ├── InvalidStoreName    the DID cannot be part of a path
    ├── TooManyReservedKeys no further signing key is kept for an actor to come
    ├── RecordNotFound      no such record in the repo
    ├── RecordExists        a create met a record
    ├── SwapMismatch        the commit or record is not the one the caller expected
    ├── TooManyWrites       a commit has too many writes, or too many bytes for its event
    ├── QuotaExceeded       there is no room for what is to be added
    ├── BlobNotFound        no such blob, or not one that may be referred to or served
    ├── BlobTakendown       a moderator has taken these bytes down: no new upload
    ├── InvalidMimeType     a reference names another media type than the upload has
    └── InvalidSize         a reference names another size than the upload has
"""

from __future__ import annotations

from repo.cid import Cid


class ActorStoreError(Exception):
    """Base of what the actor store raises on purpose."""


class RepoNotFound(ActorStoreError):
    """There is no actor store for this DID."""

    def __init__(self, did: str) -> None:
        super().__init__(f"Repo not found: {did}")
        self.did = did


class RepoExists(ActorStoreError):
    """There is an actor store for this DID already."""

    def __init__(self, did: str) -> None:
        super().__init__(f"Repo already exists: {did}")
        self.did = did


class ActorStoreDamaged(ActorStoreError):
    """The database or the signing key of one actor cannot be used. The log is told the details."""

    def __init__(self, did: str, reason: str) -> None:
        super().__init__(f"the store of {did} is damaged: {reason}")
        self.did = did
        self.reason = reason


class SigningKeyUnusable(ActorStoreDamaged):
    """The signing key is missing or cannot be used. Reading needs none."""


class InvalidStoreName(ActorStoreError, ValueError):
    """The text is no DID, or is too long, so it may not become part of a path."""

    def __init__(self, name: str) -> None:
        super().__init__(f"not a DID that can be stored: {name[:80]!r}")
        self.name = name


class TooManyReservedKeys(ActorStoreError):
    """As many signing keys are reserved as are kept, and none is old enough to make room."""

    def __init__(self) -> None:
        super().__init__("Too many signing keys are reserved. Try again later.")


class RecordNotFound(ActorStoreError):
    """The repo has no such record."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"Could not locate record: {uri}")
        self.uri = uri


class RecordExists(ActorStoreError):
    """A create named a record that the repo has already."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"Record already exists: {uri}")
        self.uri = uri


class SwapMismatch(ActorStoreError):
    """The commit or record is not the one the caller expected to replace."""

    def __init__(self, *, expected: Cid | None, current: Cid | None, kind: str) -> None:
        super().__init__(f"{kind} was at {current or 'null'}")
        self.expected = expected
        self.current = current
        self.kind = kind


class TooManyWrites(ActorStoreError):
    """A commit has more writes, or its event more bytes, than consumers of the firehose take."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"Too many writes. {limit}")


class QuotaExceeded(ActorStoreError):
    """There is no room for what is to be added; nothing of it was kept."""

    def __init__(self, *, used_bytes: int, quota_bytes: int, adding_bytes: int) -> None:
        super().__init__(
            f"The account uses {used_bytes:,} of the {quota_bytes:,} bytes it may use; "
            f"there is no room for {adding_bytes:,} more"
        )
        self.used_bytes = used_bytes
        self.quota_bytes = quota_bytes
        self.adding_bytes = adding_bytes


class BlobNotFound(ActorStoreError):
    """There is no such blob, or not one that may be referred to or served."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"Could not find blob: {cid}")
        self.cid = cid


class BlobTakendown(ActorStoreError):
    """A moderator has taken these bytes down: they cannot be uploaded again."""

    def __init__(self, cid: Cid) -> None:
        super().__init__("Blob has been takendown, cannot re-upload")
        self.cid = cid


class InvalidMimeType(ActorStoreError):
    """A record's blob reference names another media type than the upload has."""

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(f"blob was uploaded as {expected}, the record says {found}")
        self.expected = expected
        self.found = found


class InvalidSize(ActorStoreError):
    """A record's blob reference names another size than the upload has."""

    def __init__(self, *, expected: int, found: int) -> None:
        super().__init__(f"blob has {expected} bytes, the record says {found}")
        self.expected = expected
        self.found = found
