"""Errors about changes of whole accounts, as one tree. Nothing here knows HTTP.

LifecycleError
├── DidMismatch           the DID document does not match the account on this server
├── HoldAccount           it is the account of the hold, which is there as long as the hold is
├── NoSignups             this server hosts no accounts but its hold's
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


class HoldAccount(LifecycleError):
    """The account is that of the hold that this server is; nothing has been changed."""

    def __init__(self) -> None:
        super().__init__(
            "This is the account of the hold itself, which the server needs: set "
            "PDS_HOLD_ENABLED=false first"
        )


class NoSignups(LifecycleError):
    """This server is only a hold."""

    def __init__(self) -> None:
        super().__init__(
            "This server is only a hold of the ATCR registry (PDS_HOLD_ONLY): it hosts no other "
            "accounts"
        )


class PlcOperationRefused(LifecycleError):
    """The operation is malformed or would detach the DID from its account, or it is no did:plc.

    No request has been made to the PLC directory.
    """
