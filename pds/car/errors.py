"""Errors that the user of a CAR tool can fix; the message says how.

CarToolError
├── UnpackRefused     the directory is not empty
├── PackRefused       a file is not a record, or the records differ from the signed ones
├── KeyUnavailable    a requested key or DID document is unavailable
└── ExportFailed      the server does not return the repository of the DID
    └── RemoteFailure a request had no usable response; see `pds.car.remote`
"""

from __future__ import annotations


class CarToolError(Exception):
    """Base of this package's errors, except those of the formats."""


class UnpackRefused(CarToolError):
    """The directory is not empty, and its contents would become part of the repository."""


class PackRefused(CarToolError):
    """The directory cannot be packed as a repository."""


class KeyUnavailable(CarToolError):
    """The key is invalid or cannot be found."""


class ExportFailed(CarToolError):
    """The export failed; an old copy is unchanged."""
