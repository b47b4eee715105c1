"""What a client sends to ask for authorization: parameters, a JWT of them, or a reference.

Each parameter is checked on its own here; `rules` checks them against the client.

Spec: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1,
https://www.rfc-editor.org/rfc/rfc9101, https://www.rfc-editor.org/rfc/rfc9126
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from pds.oauth.clients.client_id import MAX_LENGTH as MAX_CLIENT_ID
from pds.oauth.clients.metadata import ResponseType
from pds.oauth.clients.scope_text import is_scope_text
from pds.oauth.clients.signed import MAX_LENGTH as MAX_REQUEST_OBJECT
from pds.oauth.clients.uris import parse_redirect
from pds.oauth.errors import InvalidRequest
from pds.oauth.requests.parameters import AuthorizationParameters

MAX_SCOPE: Final = 16_384
"""Characters of a scope parameter."""
MAX_STATE: Final = 4_096
"""Characters of a state parameter."""

_MAX_VALUE: Final = 2_048
_MAX_PROBLEMS: Final = 3
_REDIRECT_URIS: Final = 1024
"""Good ones that are remembered; checking one takes 15 us."""
_UNSUPPORTED: Final = ("claims", "id_token_hint", "nonce", "authorization_details")
"""Parameters of other profiles. `rules` refuses them whatever they hold, so nothing reads them."""


@dataclass(slots=True, frozen=True)
class RequestObject:
    """A request whose parameters are the claims of a JWT."""

    client_id: str
    jwt: str


@dataclass(slots=True, frozen=True)
class RequestReference:
    """A request that was made before, by its `request_uri`."""

    client_id: str
    request_uri: str


@lru_cache(_REDIRECT_URIS)
def _redirect_uri(text: str) -> str:
    parse_redirect(text)
    return text


def _scope(text: str) -> str:
    if not is_scope_text(text):
        raise ValueError("Invalid OAuth scope")
    return text


def _number(value: object) -> object:
    """Read the number that a form or query writes as text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


_Text: TypeAlias = Annotated[str, Field(max_length=_MAX_VALUE)]
_ClientId: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_CLIENT_ID)]
_UiLocales: TypeAlias = Annotated[
    str, Field(max_length=256, pattern=r"^[a-z]{2,3}(-[A-Z]{2})?( [a-z]{2,3}(-[A-Z]{2})?)*$")
]
_MaxAge: TypeAlias = Annotated[int, BeforeValidator(_number), Field(ge=0, le=2**53 - 1)]


class _Parameters(BaseModel):
    """Known parameters; others are left out, as RFC 6749 (section 3.1) asks."""

    model_config = ConfigDict(strict=True)

    client_id: _ClientId
    state: Annotated[str, Field(max_length=MAX_STATE)] | None = None
    redirect_uri: Annotated[str, AfterValidator(_redirect_uri)] | None = None
    scope: Annotated[str, Field(max_length=MAX_SCOPE), AfterValidator(_scope)] | None = None
    response_type: ResponseType
    code_challenge: _Text | None = None
    code_challenge_method: Literal["S256", "plain"] | None = None
    dpop_jkt: _Text | None = None
    response_mode: Literal["query", "fragment", "form_post"] | None = None
    max_age: _MaxAge | None = None
    login_hint: Annotated[str, Field(min_length=1, max_length=_MAX_VALUE)] | None = None
    ui_locales: _UiLocales | None = None
    display: Literal["page", "popup", "touch", "wap"] | None = None
    prompt: Literal["none", "login", "consent", "select_account", "create"] | None = None


class _Referring(BaseModel):
    """A request by `request` or `request_uri`."""

    model_config = ConfigDict(strict=True)

    client_id: _ClientId
    request: Annotated[str, Field(min_length=1, max_length=MAX_REQUEST_OBJECT)] | None = None
    request_uri: Annotated[str, Field(min_length=1, max_length=_MAX_VALUE)] | None = None


def read_pushed(payload: Mapping[str, object]) -> AuthorizationParameters | RequestObject:
    """Read the body of a pushed request. Raises `InvalidRequest`."""
    problem = "Invalid authorization request"
    if "request_uri" in payload:
        raise InvalidRequest(f"{problem}: a pushed request has no request_uri")
    if "request" in payload:
        return _read_object(payload, problem)
    return read_parameters(payload, problem=problem, place="body.")


def read_query(
    query: Mapping[str, object],
) -> AuthorizationParameters | RequestObject | RequestReference:
    """Read the query of the authorization endpoint. Raises `InvalidRequest`."""
    problem = "Invalid request parameters"
    if "request_uri" in query:
        if "request" in query:
            raise InvalidRequest(f"{problem}: request and request_uri exclude each other")
        referring = _referring(query, problem)
        return RequestReference(referring.client_id, referring.request_uri or "")
    if "request" in query:
        return _read_object(query, problem)
    return read_parameters(query, problem=problem, place="query.")


def read_parameters(
    payload: Mapping[str, object], *, problem: str, place: str = ""
) -> AuthorizationParameters:
    """Check each parameter.

    Raises `InvalidRequest`, whose text begins with `problem`, and says in which `place` it is.
    """
    _refuse_nulls(payload, _Parameters, problem)
    try:
        # Every value is a plain one.
        values = vars(_Parameters.model_validate(dict(payload)))
    except ValidationError as exc:
        raise InvalidRequest(f"{problem}: {_problems(exc, place)}") from exc
    read = {name: value for name, value in values.items() if value is not None}
    return AuthorizationParameters(
        read | {name: True for name in _UNSUPPORTED if payload.get(name) is not None}
    )


def _read_object(payload: Mapping[str, object], problem: str) -> RequestObject:
    referring = _referring(payload, problem)
    return RequestObject(referring.client_id, referring.request or "")


def _referring(payload: Mapping[str, object], problem: str) -> _Referring:
    _refuse_nulls(payload, _Referring, problem)
    try:
        return _Referring.model_validate(dict(payload))
    except ValidationError as exc:
        raise InvalidRequest(f"{problem}: {_problems(exc, '')}") from exc


def _refuse_nulls(payload: Mapping[str, object], model: type[BaseModel], problem: str) -> None:
    """Refuse null, which JSON bodies can have and which is no value of any parameter."""
    if None not in payload.values():
        return
    for name in model.model_fields:
        if name in payload and payload[name] is None:
            raise InvalidRequest(f"{problem}: {name} is null")


def _problems(exc: ValidationError, place: str) -> str:
    errors = exc.errors(include_url=False)[:_MAX_PROBLEMS]
    return "; ".join(f"{_message(error)} at {place}{error['loc'][0]}" for error in errors)


def _message(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    return str(cause) if isinstance(cause, ValueError) else error["msg"]
