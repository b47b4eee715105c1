"""`Clients`: finds a client by its id, in the id itself or on the web.

A client is whatever its metadata says at the moment: nothing is registered and nothing is stored.
What was fetched is used for ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import lru_cache
from typing import Final

from database.timestamps import Clock
from identity.http import SafeHttp
from pds.jose.jwks import InvalidJwks, Jwks
from pds.oauth.clients.client import Client
from pds.oauth.clients.client_id import DiscoverableClientId, LoopbackClientId, parse_client_id
from pds.oauth.clients.documents import Documents
from pds.oauth.clients.metadata import ClientMetadata
from pds.oauth.clients.metadata_rules import check_metadata
from pds.oauth.clients.uris import Uri
from pds.oauth.clients.web_files import FileUnavailable
from pds.oauth.errors import InvalidClientId, InvalidClientMetadata

_LOOPBACK_CLIENTS: Final = 256
"""Checking the metadata of one takes half a millisecond, and each request asks for it."""
_CLIENT_IDS: Final = 1024
"""Parsed ones that are kept, of at most 8 KiB each; parsing one takes 30 us."""
_KEY_SET_TYPES: Final = ("application/json", "application/jwk-set+json")


class Clients:
    """Clients by their ids."""

    def __init__(
        self, http: SafeHttp, *, trusted: Collection[str] = (), clock: Clock = time.time
    ) -> None:
        """Fetch with `http`. `trusted` are the ids of clients that the operator vouches for."""
        self._allows_ports = http.allow_private
        self._trusted = frozenset(trusted)
        self._metadata = Documents(http, _parse_metadata, clock=clock)
        self._key_sets = Documents(
            http, _parse_keys, media_types=_KEY_SET_TYPES, may_lack_type=True, clock=clock
        )

    async def get(self, client_id: str) -> Client:
        """Return a client.

        Raises `InvalidClientId`, `InvalidClientMetadata` or `InvalidRedirectUri`, and `TooBusy`.
        """
        parsed = _parse_client_id(client_id)
        if isinstance(parsed, LoopbackClientId):
            return _loopback_client(parsed, is_trusted=client_id in self._trusted)
        metadata = await self._fetch_metadata(parsed)
        keys = await self._keys_of(client_id, metadata, self._key_sets.get)
        return Client(client_id, metadata, keys, is_trusted=client_id in self._trusted)

    async def with_fresh_keys(self, client: Client) -> Client:
        """Return the client with keys fetched anew, for a token that names an unknown one.

        It asks once a minute at most. Raises as `get`.
        """
        keys = await self._keys_of(client.client_id, client.metadata, self._key_sets.get_again)
        return replace(client, keys=keys)

    async def _fetch_metadata(self, client_id: DiscoverableClientId) -> ClientMetadata:
        # What listens at other ports of a host need not speak for its owner.
        if client_id.url.port is not None and not self._allows_ports:
            raise InvalidClientId("The client_id must not have a port")
        try:
            return await self._metadata.get(client_id.url)
        except FileUnavailable as exc:
            problem = f'Unable to obtain client metadata for "{client_id.text}": {exc}'
            raise InvalidClientMetadata(problem) from exc

    async def _keys_of(
        self,
        client_id: str,
        metadata: ClientMetadata,
        fetch: Callable[[Uri], Awaitable[Jwks]],
    ) -> Jwks:
        if metadata.jwks_uri is None:
            return metadata.jwks or Jwks(())
        try:
            return await fetch(Uri.parse(metadata.jwks_uri))
        except InvalidClientMetadata as exc:
            raise InvalidClientMetadata(
                f'Unable to obtain jwks from "{metadata.jwks_uri}" for "{client_id}": {exc}'
            ) from exc


_parse_client_id: Final = lru_cache(_CLIENT_IDS)(parse_client_id)


@lru_cache(_LOOPBACK_CLIENTS)
def _loopback_client(client_id: LoopbackClientId, *, is_trusted: bool) -> Client:
    metadata = ClientMetadata(
        client_id=client_id.text,
        scope=client_id.scope,
        redirect_uris=list(client_id.redirect_uris),
        response_types=["code"],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="none",  # noqa: S106 - no secret
        application_type="native",
        dpop_bound_access_tokens=True,
    )
    check_metadata(client_id, metadata)
    return Client(client_id.text, metadata, is_trusted=is_trusted)


def _parse_metadata(url: str, document: object) -> ClientMetadata:
    client_id = parse_client_id(url)
    try:
        metadata = ClientMetadata.parse(document)
    except InvalidClientMetadata as exc:
        # Told apart from the rules, whose texts are sentences of their own.
        raise FileUnavailable(exc.description) from exc
    check_metadata(client_id, metadata)
    return metadata


def _parse_keys(_: str, document: object) -> Jwks:
    try:
        return Jwks.parse(document)
    except InvalidJwks as exc:
        raise InvalidClientMetadata(str(exc)) from exc
