"""The endpoints: a package or module per Lexicon namespace."""

from __future__ import annotations

from typing import Final

from pds.api import admin, bsky, identity, moderation, repo, server, sync, temp
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
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
