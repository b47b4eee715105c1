"""com.atproto.repo: the records and blobs of one repository."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pds.api.repo import blobs, imports, reads, writes
from pds.xrpc.methods import ReadMethods, XrpcMethod

READ_METHODS: Final[tuple[ReadMethods, ...]] = (reads.read_methods,)
METHODS: Final[tuple[Iterable[XrpcMethod], ...]] = (
    blobs.methods,
    imports.methods,
    reads.methods,
    *READ_METHODS,
    writes.methods,
)
