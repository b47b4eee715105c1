"""What can go wrong with changes of whole accounts, as one tree. Nothing here knows HTTP.

LifecycleError
├── DidMismatch           the DID does not say what the account here needs it to say
└── PlcOperationRefused   the DID has none, or not one like this

What is wrong with an account itself is in `pds.accounts.errors`, with its repository in
`pds.repos.errors`, and what the PLC directory refuses is a `PlcError`.
"""

from __future__ import annotations


class LifecycleError(Exception):
    """Something about the change of an account. The message is fit to be shown to the client."""


class DidMismatch(LifecycleError):
    """The DID names another server, key or handle than the account has here, or cannot be resolved.

    Nothing has been changed.
    """


class PlcOperationRefused(LifecycleError):
    """The operation is malformed, or would part the DID from its account, or the DID is no did:plc.

    The PLC directory has not been asked.
    """
