"""Client authentication with private_key_jwt: assertions that a client signs for one request.

Spec: https://www.rfc-editor.org/rfc/rfc7523#section-3
"""

from __future__ import annotations

from typing import Final

from database.timestamps import Clock
from pds.jose.jwks import Jwks
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.errors import InvalidClient
from pds.oauth.replay.store import ReplayStore

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_AGE_S: Final = 60


class UnknownAssertionKey(InvalidClient):
    """The assertion names a key that the client's key set lacks; a fresh key set may have it."""


class ClientAssertions:
    """Checks the assertions of confidential clients."""

    def __init__(self, replays: ReplayStore, *, issuer: str, clock: Clock) -> None: ...

    async def check(
        self, client_id: str, keys: Jwks, *, assertion: str, assertion_type: str | None
    ) -> ClientAuth:
        """Check an assertion of a client with its keys.

        Raises `InvalidClient`; `UnknownAssertionKey` before anything is remembered; `InvalidGrant`
        for an assertion that was used before.
        """
        raise NotImplementedError
