"""The methods of app.bsky that the server answers itself, or whose answers it completes."""

from __future__ import annotations

from typing import Final

from pds.api.bsky import actor, feed, notification, read_after_write
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    actor.methods,
    feed.methods,
    notification.methods,
    read_after_write.methods,
)
