"""Checking DPoP proofs: JWTs, signed with the client's key, for one request each.

Spec: https://www.rfc-editor.org/rfc/rfc9449#section-4.3
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from cachetools import LRUCache
from jwt.utils import base64url_encode

from database.timestamps import Clock
from pds.jose.jwk import InvalidJwk, Jwk
from pds.jose.jwt import InvalidJwt, Jwt, is_time, read_unverified_jwt
from pds.oauth.dpop.nonces import DpopNonces
from pds.oauth.errors import InvalidDpopProof, UseDpopNonce
from pds.oauth.replay.store import ReplayStore

MAX_PROOF_LENGTH: Final = 8192
"""In characters; with an RSA key of 8192 bits, a proof has about 3,200."""
MAX_JTI_LENGTH: Final = 512
MAX_AGE_S: Final = 190
MAX_AHEAD_S: Final = 180
"""How far the client's clock may be ahead."""
REPLAY_S: Final = 198
"""For how long a proof cannot be used again: longer than any nonce is accepted."""


class DpopProofs:
    """Checks the proofs of one server."""

    def __init__(self, nonces: DpopNonces, replays: ReplayStore, *, clock: Clock) -> None: ...

    async def check(
        self, headers: Sequence[str], *, method: str, url: str, access_token: str | None = None
    ) -> str | None:
        """Check the `DPoP` headers of a request; return the thumbprint of the key that signed.

        `url` begins with the server's public URL, whatever host the request names; its query is
        ignored. `access_token` is that of a resource request; requests to the authorization server
        have none. None if the request has no proof.
        Raises `InvalidDpopProof`, `UseDpopNonce`, `DatabaseError`.
        """
