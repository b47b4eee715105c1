"""The endpoints: a package or module per Lexicon namespace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pds.api import admin, bsky, identity, moderation, repo, server, sync, temp
from pds.xrpc.methods import ReadMethods, XrpcMethod

METHODS: Final[tuple[Iterable[XrpcMethod], ...]] = (
    *admin.METHODS,
    *bsky.METHODS,
    *identity.METHODS,
    *repo.METHODS,
    *server.METHODS,
    *sync.METHODS,
    moderation.methods,
    temp.methods,
)
"""Every method that is served."""
READ_METHODS: Final[tuple[ReadMethods, ...]] = (*repo.READ_METHODS, *sync.METHODS)
"""The methods that only read this server's repositories."""
