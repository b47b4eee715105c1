"""What an operator is told about a failure, beyond what clients are told."""

from __future__ import annotations

from typing import Final

from actor_store.blob_store.base import BlobStoreMisconfigured
from pds.xrpc.errors import XrpcError

_STATUS: Final = 503


def for_operator(exc: Exception) -> Exception:
    """Return the error that an operator gets for `exc`.

    Clients get a bare 500 if the blob store refuses the server, but the operator can repair that.
    """
    if isinstance(exc, BlobStoreMisconfigured):
        return XrpcError(_STATUS, "NotEnoughResources", str(exc))
    return exc
