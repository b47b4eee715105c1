"""com.atproto.repo: the records and blobs of one repository."""

from __future__ import annotations

from typing import Final

from pds.api.repo import blobs, imports, reads, writes
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    blobs.methods,
    imports.methods,
    reads.methods,
    writes.methods,
)
