"""The endpoints: a package or module per Lexicon namespace."""

from __future__ import annotations

from typing import Final

from pds.api import (
    actor,
    admin,
    feed,
    identity,
    moderation,
    notification,
    read_after_write,
    repo,
    server,
    subscribe_repos,
    sync,
    temp,
)
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    *admin.METHODS,
    *identity.METHODS,
    *repo.METHODS,
    *server.METHODS,
    actor.methods,
    feed.methods,
    moderation.methods,
    notification.methods,
    read_after_write.methods,
    subscribe_repos.methods,
    sync.methods,
    temp.methods,
)
"""Every method that is served."""
