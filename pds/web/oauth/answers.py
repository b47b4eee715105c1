"""The answer to an authorization request, on its way back to the client through the browser.

Spec: https://www.rfc-editor.org/rfc/rfc9207 (iss),
https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import hdrs, web

from pds.oauth.requests.parameters import AuthorizationParameters
from pds.web.oauth.form_sources import form_source
from pds.web.pages.visit import Visit

_SEE_OTHER = 303


@dataclass(slots=True, frozen=True)
class ClientAnswer:
    """What the client gets: a code, or an error with its description."""

    parameters: AuthorizationParameters
    values: tuple[tuple[str, str], ...]

    @classmethod
    def code(cls, parameters: AuthorizationParameters, code: str) -> ClientAnswer:
        """Return the answer to a request that was granted."""
        return cls(parameters, (("code", code),))

    @classmethod
    def refusal(
        cls, parameters: AuthorizationParameters, error: str, description: str
    ) -> ClientAnswer:
        """Return the answer to a request that was refused."""
        return cls(parameters, (("error", error), ("error_description", description)))


def send_to_client(visit: Visit, issuer: str, answer: ClientAnswer) -> web.Response:
    """Send the browser back to the client, in the response mode that the request asked for."""
    parameters = answer.parameters
    state = () if parameters.state is None else (("state", parameters.state),)
    values = (("iss", issuer), *state, *answer.values)
    if parameters.response_mode == "form_post":
        return visit.page(
            "oauth/form_post.html",
            form_targets=(form_source(parameters.redirect_uri),),
            script="/oauth/submit.js",
            target=parameters.redirect_uri,
            values=values,
        )
    location = redirect_location(
        parameters.redirect_uri, values, in_fragment=parameters.response_mode == "fragment"
    )
    headers = {hdrs.LOCATION: location, hdrs.CACHE_CONTROL: "no-store", hdrs.PRAGMA: "no-cache"}
    return web.Response(status=_SEE_OTHER, headers=headers)


def redirect_location(
    uri: str, values: tuple[tuple[str, str], ...], *, in_fragment: bool = False
) -> str:
    """Return the redirect URI with `values` in its query or fragment.

    Values of the same name that the client put there are replaced.
    """
    parts = urlsplit(uri)
    if in_fragment:
        return urlunsplit(parts._replace(fragment=urlencode(values)))
    names = {name for name, _ in values}
    own = [each for each in parse_qsl(parts.query, keep_blank_values=True) if each[0] not in names]
    return urlunsplit(parts._replace(query=urlencode([*own, *values])))
