"""`Logos`: the pictures by which clients want to be known, for our own pages to show.

Browsers get them from this server: the client does not learn who looks at its request, and when.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from actor_store.media_type import sniff
from database.timestamps import Clock
from identity.http import FetchedResponse, FetchMalformed, SafeHttp
from pds.oauth.clients.web_files import WebFiles

TYPES: Final = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"))
"""Pictures of dots. An SVG is a document, and may hold scripts."""


@dataclass(slots=True, frozen=True)
class Logo:
    """A picture."""

    media_type: str
    """What its bytes are, whatever its server says."""
    body: bytes


class Logos(WebFiles[Logo]):
    """Pictures by their URLs."""

    def __init__(self, http: SafeHttp, *, clock: Clock = time.time) -> None:
        """Fetch with `http`."""
        super().__init__(http, accept=", ".join(sorted(TYPES)), clock=clock)

    def _read(self, url: str, response: FetchedResponse) -> Logo:
        media_type = sniff(response.body)
        if media_type not in TYPES:
            raise FetchMalformed(url, "it is not a picture that this server shows")
        return Logo(media_type, response.body)
