"""Access by OAuth tokens: the token, and the proof that it was not stolen, of one request.

Spec: https://www.rfc-editor.org/rfc/rfc9449#section-7, https://www.rfc-editor.org/rfc/rfc6750
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from pds.jose.jwk import ALGORITHMS
from pds.monitoring.requests.request_info import promise_headers
from pds.oauth.errors import OAuthError
from pds.xrpc.errors import XrpcError

if TYPE_CHECKING:
    from pds.oauth.access import OAuthAccess
    from pds.oauth.tokens.session import OAuthSession

DPOP: Final = "DPoP"
NONCE_HEADER: Final = "DPoP-Nonce"
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
    promise_headers(request, {NONCE_HEADER: oauth.proofs.next_nonce()})
    jkt = await oauth.proofs.check(
        request.headers.getall(DPOP, ()),
        method=request.method,
        # The client may have another name for the server than the proxy before it.
        url=oauth.url + request.rel_url.raw_path,
        access_token=token,
    )
    session = oauth.tokens.verify(token, jkt)
    return session if oauth.references is None else await oauth.references.resolve(session)
