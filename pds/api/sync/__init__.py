"""com.atproto.sync: repositories for consumers that follow them, and the firehose."""

from __future__ import annotations

from typing import Final

from pds.api.sync import reads, subscribe_repos
from pds.xrpc.methods import ReadMethods

METHODS: Final[tuple[ReadMethods, ...]] = (reads.methods, subscribe_repos.methods)
