"""The endpoints: one module per Lexicon namespace."""

from __future__ import annotations

from typing import Final

from pds.api import actor, admin, identity, repo, server, subscribe_repos, sync
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    actor.methods,
    admin.methods,
    identity.methods,
    repo.methods,
    server.methods,
    subscribe_repos.methods,
    sync.methods,
)
"""Every method that is served."""
