"""`StoredRequest`: a row of `authorization_request`, and the names that requests go by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from database.connection import Row
from database.timestamps import epoch_s_of
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.errors import InvalidRequest
from pds.oauth.requests.parameters import AuthorizationParameters
from repo.syntax import Did

URI_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"

_REQUEST_ID: Final = re.compile(r"req-[0-9a-f]{32}")
_CODE: Final = re.compile(r"cod-[0-9a-f]{64}")


@dataclass(slots=True, frozen=True)
class StoredRequest:
    """A request that is under way. `expires_at` is in Unix seconds."""

    request_id: str
    client_id: str
    client_auth: ClientAuth | None
    """How the client authenticated; None if the request did not come from it directly."""
    parameters: AuthorizationParameters
    expires_at: float
    device_id: str | None = None
    """The browser that opened it first; no other may go on."""
    did: Did | None = None
    """The account that granted it; it can only be exchanged for tokens from then on."""
    code: str | None = None

    @classmethod
    def of_row(cls, row: Row) -> StoredRequest:
        """Read a row: id, clientId, clientAuth, parameters, expiresAt, deviceId, did, code."""
        request_id, client_id, client_auth, parameters, expires_at, device_id, did, code = row
        return cls(
            request_id,
            client_id,
            ClientAuth.from_json(client_auth),
            AuthorizationParameters.from_json(parameters),
            epoch_s_of(expires_at),
            device_id,
            did,
            code,
        )

    @property
    def request_uri(self) -> str:
        """Its name outside."""
        return URI_PREFIX + self.request_id


def parse_request_uri(request_uri: str) -> str:
    """Return the id of a request. Raises `InvalidRequest`."""
    request_id = request_uri.removeprefix(URI_PREFIX)
    if not request_uri.startswith(URI_PREFIX) or _REQUEST_ID.fullmatch(request_id) is None:
        raise InvalidRequest('Invalid "request_uri" query parameter: Invalid request_uri format')
    return request_id


def is_code(text: str) -> bool:
    """Whether a text has the form of a code."""
    return _CODE.fullmatch(text) is not None
