"""com.atproto.sync: repositories for those who follow them, and the firehose."""

from __future__ import annotations

from typing import Final

from pds.api.sync import reads, subscribe_repos
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (reads.methods, subscribe_repos.methods)
