"""The errors of the actor store.

::

    ActorStoreError
    ├── RepoNotFound        no actor store for this DID
    ├── RepoExists          this DID already has an actor store
    ├── ActorStoreDamaged   its files are unreadable: only this actor is quarantined
    │   └── SigningKeyUnusable  the key is missing or invalid; the database is intact
    ├── InvalidStoreName    the DID cannot be part of a path
    ├── TooManyReservedKeys no more signing keys can be reserved
    ├── RecordNotFound      no such record in the repo
    ├── RecordExists        a create found an existing record
    ├── SwapMismatch        the commit or record is not the one the caller expected
    ├── TooManyWrites       a commit has too many writes, or too many bytes for its event
    ├── QuotaExceeded       the addition does not fit the quota
    ├── BlobNotFound        the blob does not exist, or may not be referred to or served
    ├── BlobTakendown       a moderator has taken these bytes down: no new upload
    ├── InvalidMimeType     a reference's media type differs from the upload's
    └── InvalidSize         a reference's size differs from the upload's
"""

from __future__ import annotations

from repo.cid import Cid


class ActorStoreError(Exception):
    """Base of the errors that the actor store raises deliberately."""


class RepoNotFound(ActorStoreError):
    """This DID has no actor store."""

    def __init__(self, did: str) -> None:
        super().__init__(f"Repo not found: {did}")
        self.did = did


class RepoExists(ActorStoreError):
    """This DID already has an actor store."""

    def __init__(self, did: str) -> None:
        super().__init__(f"Repo already exists: {did}")
        self.did = did


class ActorStoreDamaged(ActorStoreError):
    """One actor's database or signing key is unusable. The details go to the log."""

    def __init__(self, did: str, reason: str) -> None:
        super().__init__(f"the store of {did} is damaged: {reason}")
        self.did = did
        self.reason = reason


class SigningKeyUnusable(ActorStoreDamaged):
    """The signing key is missing or unusable. Reading needs no key."""


class InvalidStoreName(ActorStoreError, ValueError):
    """The text is not a DID, or is too long, so it may not become part of a path."""

    def __init__(self, name: str) -> None:
        super().__init__(f"not a DID that can be stored: {name[:80]!r}")
        self.name = name


class TooManyReservedKeys(ActorStoreError):
    """The limit of reserved signing keys is reached, and none is old enough to be replaced."""

    def __init__(self) -> None:
        super().__init__("Too many signing keys are reserved. Try again later.")


class RecordNotFound(ActorStoreError):
    """The repo has no such record."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"Could not locate record: {uri}")
        self.uri = uri


class RecordExists(ActorStoreError):
    """A create named a record that already exists."""

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
    """A commit has more writes, or its event more bytes, than firehose consumers accept."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"Too many writes. {limit}")


class QuotaExceeded(ActorStoreError):
    """The addition does not fit the quota; nothing of it was stored."""

    def __init__(self, *, used_bytes: int, quota_bytes: int, adding_bytes: int) -> None:
        super().__init__(
            f"The account uses {used_bytes:,} of the {quota_bytes:,} bytes it may use; "
            f"there is no room for {adding_bytes:,} more"
        )
        self.used_bytes = used_bytes
        self.quota_bytes = quota_bytes
        self.adding_bytes = adding_bytes


class BlobNotFound(ActorStoreError):
    """The blob does not exist, or may not be referred to or served."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"Could not find blob: {cid}")
        self.cid = cid


class BlobTakendown(ActorStoreError):
    """A moderator has taken these bytes down: they cannot be uploaded again."""

    def __init__(self, cid: Cid) -> None:
        super().__init__("Blob has been takendown, cannot re-upload")
        self.cid = cid


class InvalidMimeType(ActorStoreError):
    """The media type in a record's blob reference differs from the upload's."""

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(f"blob was uploaded as {expected}, the record says {found}")
        self.expected = expected
        self.found = found


class InvalidSize(ActorStoreError):
    """The size in a record's blob reference differs from the upload's."""

    def __init__(self, *, expected: int, found: int) -> None:
        super().__init__(f"blob has {expected} bytes, the record says {found}")
        self.expected = expected
        self.found = found
