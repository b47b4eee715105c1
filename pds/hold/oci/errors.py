"""What can be wrong with an upload, or with what is asked of a blob.

::

    OciError
    ├── UploadNotFound      no such upload of this caller is open
    ├── TooManyUploads      the caller has too many unfinished ones
    ├── HoldFull            all callers together have
    ├── InvalidPartNumber   not 1 to 10 000
    ├── PartTooLarge        more bytes than a part may have
    ├── MissingParts        a part that was named has not arrived, or none was named
    ├── PartsRefused        the parts as named make no blob
    ├── DigestMismatch      the bytes have another digest
    ├── BlobNotFound        no such blob is stored
    └── BlobBeingChecked    the bytes are there, and are still read to check their digest
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_NAMED: Final = 10
"""How many missing parts a message names."""


class OciError(Exception):
    """A blob or an upload is not as the caller says. Nothing has been changed."""


class UploadNotFound(OciError):
    """There is no such upload, it has ended, or it belongs to somebody else."""

    def __init__(self) -> None:
        super().__init__("there is no such upload of this caller, or it has ended")


class TooManyUploads(OciError):
    """Too many uploads of the caller are unfinished."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"you have {limit} unfinished uploads: complete or abort some first")


class HoldFull(OciError):
    """Too many uploads of all callers together are unfinished."""

    retry_after_s: Final = 60
    """When a client may ask again."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the hold has {limit} unfinished uploads: try again later")


class InvalidPartNumber(OciError):
    """The number of a part is out of range."""

    def __init__(self) -> None:
        super().__init__("the number of a part is an integer from 1 to 10000")


class PartTooLarge(OciError):
    """A part has more bytes than allowed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"a part has at most {max_bytes} bytes")


class MissingParts(OciError):
    """No parts are named, or some that have not arrived."""

    def __init__(self, numbers: Sequence[int] = ()) -> None:
        if not numbers:
            message = "no parts are named"
        else:
            named = ", ".join(map(str, numbers[:_NAMED]))
            more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
            message = f"these parts have not arrived, or with another ETag: {named}{more}"
        super().__init__(message)
        self.numbers = tuple(numbers)


class PartsRefused(OciError):
    """The parts make no blob: one is named twice, or is too small."""


class DigestMismatch(OciError):
    """The uploaded bytes have another digest; they are discarded."""

    def __init__(self, expected: str) -> None:
        super().__init__(f"the uploaded bytes are not those of {expected}")


class BlobNotFound(OciError):
    """The hold has no such blob."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the hold has no blob {digest}")


class BlobBeingChecked(OciError):
    """The blob has been uploaded, but its digest is not checked yet."""

    retry_after_s: Final = 10
    """When a client may ask again."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the digest of {digest} is being checked: try again soon")
