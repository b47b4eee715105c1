"""`RequestIntake`: takes in authorization requests, pushed by clients or brought by browsers.

Spec: https://www.rfc-editor.org/rfc/rfc9126, https://www.rfc-editor.org/rfc/rfc9449#section-10
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.clients.client import Client
from pds.oauth.clients.clients import Clients
from pds.oauth.errors import (
    AccessDenied,
    AccountSelectionRequired,
    ConsentRequired,
    InvalidRequest,
    InvalidToken,
    LoginRequired,
)
from pds.oauth.requests.authorization_requests import AuthorizationRequests
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.requests.payload import RequestObject, RequestReference
from pds.oauth.requests.request_objects import RequestObjects
from pds.oauth.requests.rules import RequestRules
from pds.oauth.requests.stored import StoredRequest

_FOR_PEOPLE: Final = (AccessDenied, AccountSelectionRequired, ConsentRequired, LoginRequired)
"""Errors that a pushed request cannot end in: no person has seen it yet (RFC 9126, section 2.3)."""


@dataclass(slots=True, frozen=True)
class OpenedRequest:
    """A request in the browser of the person who decides, and the client that made it."""

    request: StoredRequest
    client: Client


class RequestIntake:
    """Checks requests and stores them."""

    def __init__(
        self,
        clients: Clients,
        requests: AuthorizationRequests,
        rules: RequestRules,
        objects: RequestObjects,
    ) -> None:
        self._clients = clients
        self._requests = requests
        self._rules = rules
        self._objects = objects

    async def push(
        self,
        client: Client,
        client_auth: ClientAuth,
        payload: AuthorizationParameters | RequestObject,
        *,
        jkt: str | None,
    ) -> StoredRequest:
        """Store a request that a client has sent itself.

        `payload` comes from `read_pushed`. `jkt` is the key of the DPoP proof, if there was one;
        tokens will be bound to it. Raises `OAuthError`.
        """
        try:
            parameters = await self._parameters_of(client, payload)
            if parameters.dpop_jkt is None and jkt is not None:
                parameters = parameters.having(dpop_jkt=jkt)
            elif jkt is not None and parameters.dpop_jkt != jkt:
                raise InvalidToken("Invalid DPoP key binding")
            parameters = await self._rules.check(client, parameters)
        except _FOR_PEOPLE as exc:
            raise InvalidRequest(exc.description) from exc
        return await self._requests.create(client.client_id, client_auth, parameters)

    async def open(
        self,
        query: AuthorizationParameters | RequestObject | RequestReference,
        *,
        device_id: str,
    ) -> OpenedRequest:
        """Open the request that a browser brings, in a query that `read_query` has read.

        Raises `OAuthError`; one with `parameters` may be answered to the client.
        """
        client = await self._clients.get(query.client_id)
        if isinstance(query, RequestReference):
            request = await self._requests.open(
                query.request_uri, client_id=client.client_id, device_id=device_id
            )
            return OpenedRequest(request, client)
        parameters = await self._parameters_of(client, query)
        parameters = await self._rules.check(client, parameters)
        # Whoever holds the browser need not be the client: it authenticates at the token endpoint.
        request = await self._requests.create(
            client.client_id, None, parameters, device_id=device_id
        )
        return OpenedRequest(request, client)

    async def _parameters_of(
        self, client: Client, payload: AuthorizationParameters | RequestObject
    ) -> AuthorizationParameters:
        if isinstance(payload, AuthorizationParameters):
            return payload
        return await self._objects.read(client, payload.jwt)
