"""Checking DPoP proofs: JWTs, signed with the client's key, for one request each.

Spec: https://www.rfc-editor.org/rfc/rfc9449#section-4.3
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from cachetools import LRUCache
from jwt.utils import base64url_encode
from yarl import URL

from database.timestamps import Clock
from pds.jose.jwk import InvalidJwk, Jwk
from pds.jose.jwt import InvalidJwt, Jwt, is_time, read_unverified_jwt, read_unverified_jwt_again
from pds.oauth.dpop.nonces import DpopNonces
from pds.oauth.errors import InvalidDpopProof, UseDpopNonce
from pds.oauth.replay.store import ReplayStore

MAX_PROOF_LENGTH: Final = 8192
"""In characters; with an RSA key of 8192 bits, a proof has about 3,200."""
MAX_JTI_LENGTH: Final = 512
MAX_AGE_S: Final = 190
LEEWAY_S: Final = 180
"""How far the client's clock may be ahead, and how long ago a proof may have expired."""
REPLAY_S: Final = 198
"""For how long a proof cannot be used again: longer than any nonce is accepted."""

_TYPE: Final = "dpop+jwt"
_CACHED_KEYS: Final = 4096
_MAX_CACHED_LENGTH: Final = 1280
"""In characters of a header; with an RSA key of 4096 bits, one has about 1,030."""
_SCHEMES: Final = ("http", "https")


class _Signer(NamedTuple):
    """Whoever has signed a proof: its header, which holds the public key, and its thumbprint."""

    header: dict[str, Any]
    key: Jwk
    jkt: str


class DpopProofs:
    """Checks the proofs of one server."""

    def __init__(self, nonces: DpopNonces, replays: ReplayStore, *, clock: Clock) -> None:
        self._nonces = nonces
        self._replays = replays
        self._clock = clock
        # By the text of the header, which all proofs of a client have in common. Reading it and
        # its key takes 80 us. Only those whose signature was right are kept.
        self._signers: LRUCache[str, _Signer] = LRUCache(_CACHED_KEYS)

    def next_nonce(self) -> str:
        """Return the nonce for the header `DPoP-Nonce` of an answer."""
        return self._nonces.next()

    async def check(
        self, headers: Sequence[str], *, method: str, url: str, access_token: str | None = None
    ) -> str | None:
        """Check the `DPoP` headers of a request; return the thumbprint of the key that signed.

        `url` begins with the server's public URL, whatever host the request names; its query is
        ignored. `access_token` is that of a resource request; requests to the authorization server
        have none. None if the request has no proof.
        Raises `InvalidDpopProof`, `UseDpopNonce`, `ReplayStoreFailed`.
        """
        if not headers:
            return None
        if len(headers) > 1:
            raise InvalidDpopProof("DPoP header must contain a single proof")
        if not headers[0]:
            raise InvalidDpopProof("DPoP header cannot be empty")
        jwt, jkt = self._verify(headers[0])
        self._check_times(jwt.claims)
        jti = _jti_of(jwt.claims)
        _check_request(jwt.claims, method, url)
        self._check_nonce(jwt.claims)
        _check_access_token(jwt.claims, access_token)
        if not await self._replays.unique("DPoP", f"{jkt}:{jti}", REPLAY_S):
            raise InvalidDpopProof("DPoP proof replayed")
        return jkt

    def _verify(self, proof: str) -> tuple[Jwt, str]:
        """Return a proof and the thumbprint of its own key, with which it is signed."""
        header_text = proof.partition(".")[0]
        signer, jwt = self._signers.get(header_text), None
        if signer is not None:
            jwt = read_unverified_jwt_again(proof, signer.header, max_length=MAX_PROOF_LENGTH)
        if signer is None or jwt is None:
            jwt, signer = _read(proof)
        if not signer.key.has_signed(jwt):
            raise _not_verified("signature verification failed")
        if len(header_text) <= _MAX_CACHED_LENGTH:
            self._signers[header_text] = signer
        return jwt, signer.jkt

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now_s = self._clock()
        issued_at = claims.get("iat")
        if not is_time(issued_at):
            raise _not_verified('missing required "iat" claim')
        if issued_at > now_s + LEEWAY_S:
            raise _not_verified('"iat" claim timestamp check failed (it should be in the past)')
        if issued_at < now_s - MAX_AGE_S:
            raise _not_verified('"iat" claim timestamp check failed (too far in the past)')
        expires_at, not_before = claims.get("exp", now_s), claims.get("nbf", now_s)
        if not is_time(expires_at) or expires_at < now_s - LEEWAY_S:
            raise _not_verified('"exp" claim timestamp check failed')
        if not is_time(not_before) or not_before > now_s + LEEWAY_S:
            raise _not_verified('"nbf" claim timestamp check failed')

    def _check_nonce(self, claims: Mapping[str, Any]) -> None:
        nonce = claims.get("nonce")
        if nonce is not None and not isinstance(nonce, str):
            raise InvalidDpopProof('Invalid DPoP "nonce" type')
        if not nonce:
            raise UseDpopNonce("Authorization server requires nonce in DPoP proof")
        if not self._nonces.check(nonce):
            raise UseDpopNonce('DPoP "nonce" mismatch')


def _read(proof: str) -> tuple[Jwt, _Signer]:
    """Parse a proof and the key in its header. Raises `InvalidDpopProof`."""
    try:
        jwt = read_unverified_jwt(proof, max_length=MAX_PROOF_LENGTH)
    except InvalidJwt as exc:
        raise _not_verified(str(exc)) from exc
    # A media type: in any case, and with or without the part that RFC 7515 lets one leave out.
    if str(jwt.header.get("typ")).lower().removeprefix("application/") != _TYPE:
        raise _not_verified('unexpected "typ" JWT header value')
    try:
        # Also in members that nobody reads, a lone surrogate or an integer of more than 64 bits is
        # refused, with a TypeError.
        orjson.dumps(jwt.header.get("jwk"))
        key = Jwk.parse(jwt.header.get("jwk"))
    except (InvalidJwk, TypeError) as exc:
        raise _not_verified(str(exc)) from exc
    return jwt, _Signer(jwt.header, key, key.thumbprint())


def _jti_of(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise InvalidDpopProof('DPoP "jti" missing')
    if len(jti) > MAX_JTI_LENGTH:
        raise InvalidDpopProof('DPoP "jti" too long')
    return jti


def _check_request(claims: Mapping[str, Any], method: str, url: str) -> None:
    """Check that a proof is for this request: method and URL, without query and fragment."""
    # Methods are case-sensitive.
    if claims.get("htm") != method:
        raise InvalidDpopProof('DPoP "htm" mismatch')
    htu = claims.get("htu")
    if not isinstance(htu, str) or not htu:
        raise InvalidDpopProof('Invalid DPoP "htu" type')
    asked = url.partition("?")[0]
    # Nearly every proof has the very text.
    if htu != asked and _normal(htu) != _normal(asked):
        raise InvalidDpopProof('DPoP "htu" mismatch')


def _normal(url: str) -> tuple[str, str | None, int | None, str]:
    """Return what counts of a URL, so that equivalent ones are equal (RFC 3986, section 6)."""
    try:
        parsed = URL(url)
        parts = (parsed.scheme, parsed.raw_host, parsed.port, parsed.raw_path)
    except ValueError as exc:
        raise InvalidDpopProof('DPoP "htu" is not a valid URL') from exc
    if not parsed.scheme:
        raise InvalidDpopProof('DPoP "htu" is not a valid URL')
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise InvalidDpopProof('DPoP "htu" must not contain credentials')
    if parsed.scheme not in _SCHEMES:
        raise InvalidDpopProof('DPoP "htu" must be http or https')
    return parts


def _check_access_token(claims: Mapping[str, Any], access_token: str | None) -> None:
    ath = claims.get("ath")
    if access_token is None:
        if ath is not None:
            raise InvalidDpopProof('DPoP "ath" claim not allowed')
        return
    expected = base64url_encode(hashlib.sha256(access_token.encode(errors="replace")).digest())
    if not isinstance(ath, str) or not hmac.compare_digest(ath.encode(errors="replace"), expected):
        raise InvalidDpopProof('DPoP "ath" mismatch')


def _not_verified(reason: str) -> InvalidDpopProof:
    return InvalidDpopProof(f"Failed to verify DPoP proof: {reason}")
