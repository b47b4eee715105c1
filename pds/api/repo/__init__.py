"""com.atproto.repo: the records and blobs of one repository."""

from __future__ import annotations

from typing import Final

from pds.api.repo import blobs, reads, writes
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (blobs.methods, reads.methods, writes.methods)
