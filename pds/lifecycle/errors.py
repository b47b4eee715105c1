"""Errors about changes of whole accounts, as one tree. Nothing here knows HTTP.

LifecycleError
├── DidMismatch           the DID document does not match the account on this server
└── PlcOperationRefused   the DID is no did:plc, or this operation is not allowed

Errors about an account itself are in `pds.accounts.errors`, about its repository in
`pds.repos.errors`; what the PLC directory refuses is a `PlcError`.
"""

from __future__ import annotations


class LifecycleError(Exception):
    """An error about the change of an account. The message may be shown to the client."""


class DidMismatch(LifecycleError):
    """The DID names a server, key or handle other than the account's, or cannot be resolved.

    Nothing has been changed.
    """


class PlcOperationRefused(LifecycleError):
    """The operation is malformed or would detach the DID from its account, or it is no did:plc.

    No request has been made to the PLC directory.
    """
