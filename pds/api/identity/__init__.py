"""com.atproto.identity: handles, and the DIDs of accounts."""

from __future__ import annotations

from typing import Final

from pds.api.identity import handles, plc_updates
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    handles.methods,
    plc_updates.methods,
)
