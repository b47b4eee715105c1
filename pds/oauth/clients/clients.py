"""`Clients`: finds a client by its id, in the id itself or on the web.

A client is whatever its metadata says at the moment: nothing is registered and nothing is stored.
What was fetched is used for ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from database.timestamps import Clock
from identity.http import SafeHttp
from pds.oauth.clients.client import Client
from pds.oauth.clients.client_id import DiscoverableClientId, LoopbackClientId, parse_client_id
from pds.oauth.clients.documents import Documents
from pds.oauth.clients.metadata import ClientMetadata, Jwk, KeySet
from pds.oauth.clients.metadata_rules import check_metadata
from pds.oauth.clients.scope_text import ATPROTO
from pds.oauth.errors import InvalidClientId, InvalidClientMetadata, OAuthError


class Clients:
    """Clients by their ids."""

    def __init__(
        self, http: SafeHttp, *, trusted: Collection[str] = (), clock: Clock = time.time
    ) -> None:
        """Fetch with `http`. `trusted` are the ids of clients that the operator vouches for."""
        self._trusted = frozenset(trusted)
        self._metadata = Documents(http, clock=clock)
        self._keys = Documents(http, clock=clock)

    async def get(self, client_id: str) -> Client:
        """Return a client.

        Raises `InvalidClientId`, `InvalidClientMetadata` or `InvalidRedirectUri`, and what the
        share of `http` raises.
        """
        parsed = parse_client_id(client_id)
        if isinstance(parsed, LoopbackClientId):
            metadata = _loopback_metadata(parsed)
        else:
            metadata = await self._fetch_metadata(parsed)
        return Client(
            client_id,
            metadata,
            keys=await self._keys_of(client_id, metadata),
            is_trusted=client_id in self._trusted,
        )

    async def _fetch_metadata(self, client_id: DiscoverableClientId) -> ClientMetadata:
        def parse(value: object) -> ClientMetadata:
            try:
                metadata = ClientMetadata.parse(value)
            except InvalidClientMetadata as exc:
                problem = f'Unable to obtain client metadata for "{client_id.text}": {exc}'
                raise InvalidClientMetadata(problem) from exc
            check_metadata(client_id, metadata)
            return metadata

        problem = f'Unable to obtain client metadata for "{client_id.text}"'
        return await self._metadata.get(client_id.url, parse, problem=problem, strict_type=True)

    async def _keys_of(self, client_id: str, metadata: ClientMetadata) -> tuple[Jwk, ...]:
        raise NotImplementedError
