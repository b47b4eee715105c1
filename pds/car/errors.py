"""What the user of a CAR tool can mend; the message says how.

CarToolError
├── UnpackRefused     the directory is not empty
├── PackRefused       a file of the directory is no record, or the records are not those signed
├── KeyUnavailable    a key or a DID document that was asked for is not to be had
└── ExportFailed      the server does not give the repository, or not that of the DID
    └── RemoteFailure a request had no usable answer; see `pds.car.remote`
"""

from __future__ import annotations


class CarToolError(Exception):
    """Base of the errors of this package, beside those of the formats."""


class UnpackRefused(CarToolError):
    """The directory has something in it, which would become part of the repository."""


class PackRefused(CarToolError):
    """The directory is not a repository that can be packed."""


class KeyUnavailable(CarToolError):
    """The key is none, or nobody tells which it is."""


class ExportFailed(CarToolError):
    """There is no new copy; an old one is as it was."""
