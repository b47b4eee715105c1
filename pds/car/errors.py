"""Errors that the user of a CAR tool can correct; the message says how.

CarToolError
├── UnpackRefused     the directory is not empty
├── PackRefused       a file of the directory is not a record, or not of those that were signed
├── KeyUnavailable    a requested key or DID document is not available
└── ExportFailed      the server does not send the repository, or not the one of the DID
    └── RemoteFailure a request had no usable answer; see `pds.car.remote`
"""

from __future__ import annotations


class CarToolError(Exception):
    """Base of the errors of this package, in addition to those of the formats."""


class UnpackRefused(CarToolError):
    """The directory has contents, which would become part of the repository."""


class PackRefused(CarToolError):
    """The directory is not a repository that can be packed."""


class KeyUnavailable(CarToolError):
    """The key is invalid, or nothing says which it is."""


class ExportFailed(CarToolError):
    """There is no new copy; an old one is unchanged."""
