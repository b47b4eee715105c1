"""Access by OAuth tokens: the token, and the proof that it was not stolen, of one request.

Spec: https://www.rfc-editor.org/rfc/rfc9449#section-7, https://www.rfc-editor.org/rfc/rfc6750
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from pds.jose.jwk import ALGORITHMS
from pds.oauth.errors import OAuthError
from pds.xrpc.errors import XrpcError

if TYPE_CHECKING:
    from multidict import CIMultiDict

    from pds.oauth.access import OAuthAccess
    from pds.oauth.tokens.session import OAuthSession

DPOP: Final = "DPoP"
NONCE_HEADER: Final = "DPoP-Nonce"
_NONCE: Final = web.RequestKey("dpop_nonce", str)
_EXPOSE: Final = "Access-Control-Expose-Headers"
_ALGORITHMS: Final = " ".join(ALGORITHMS)


class DpopChallenge(XrpcError):
    """A refusal that tells the client, in WWW-Authenticate, what is wrong with its access."""

    def __init__(self, status: int, name: str, message: str, **parameters: str) -> None:
        """`parameters` are those of the challenge, such as `error` and `scope`."""
        super().__init__(status, name, message)
        self._parameters = parameters

    @classmethod
    def refusing(cls, refusal: OAuthError) -> DpopChallenge:
        """Make the answer to a request whose token or proof was refused."""
        error, text = refusal.error, refusal.description
        return cls(401, error, text, error=error, error_description=text)

    @classmethod
    def for_missing(cls, scope: str, message: str) -> DpopChallenge:
        """Make the answer to a request that its token does not allow."""
        return cls(403, "ScopeMissingError", message, error="insufficient_scope", scope=scope)

    def response(self) -> web.Response:
        """The JSON answer, with the challenge."""
        response = super().response()
        response.headers[hdrs.WWW_AUTHENTICATE] = dpop_challenge(self._parameters)
        response.headers.add(_EXPOSE, hdrs.WWW_AUTHENTICATE)
        return response


def dpop_challenge(parameters: Mapping[str, str]) -> str:
    """Return a value for WWW-Authenticate that asks for a DPoP proof."""
    told = {name: value for name, value in parameters.items() if _fits(value)}
    pairs = {"algs": _ALGORITHMS, **told}.items()
    return f"{DPOP} " + ", ".join(f'{name}="{value}"' for name, value in pairs)


def _fits(value: str) -> bool:
    """Whether a value can stand in a challenge. Clients do not understand escaped quotes."""
    return value.isascii() and value.isprintable() and '"' not in value


async def verify_access(oauth: OAuthAccess, request: web.Request, token: str) -> OAuthSession:
    """Verify the access token of a request, and its proof.

    Whatever the answer is, it will have the nonce for the next request. Raises `OAuthError`, and
    `ScopesUnavailable` behind an entryway.
    """
    request[_NONCE] = oauth.proofs.next_nonce()
    jkt = await oauth.proofs.check(
        request.headers.getall(DPOP, ()),
        method=request.method,
        # The client may have another name for the server than the proxy before it.
        url=oauth.url + request.rel_url.raw_path,
        access_token=token,
    )
    session = oauth.tokens.verify(token, jkt)
    return session if oauth.references is None else await oauth.references.resolve(session)


async def add_nonce(request: web.Request, response: web.StreamResponse) -> None:
    """Add the nonce to a response about to be sent; called by an application signal."""
    nonce = request.get(_NONCE)
    if nonce is not None:
        headers: CIMultiDict[str] = response.headers
        headers[NONCE_HEADER] = nonce
        headers.add(_EXPOSE, NONCE_HEADER)
