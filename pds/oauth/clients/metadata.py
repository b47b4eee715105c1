"""`ClientMetadata`: what a client says of itself, checked member by member.

`metadata_rules` checks how the members go together.

Spec: https://www.rfc-editor.org/rfc/rfc7591#section-2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import ErrorDetails

from pds.jose.jwks import Jwks
from pds.oauth.clients.scope_text import is_scope_text
from pds.oauth.clients.uris import Uri, parse_redirect, parse_web
from pds.oauth.errors import InvalidClientMetadata

MAX_ITEMS: Final = 100
"""Redirect URIs, or members of another list."""

MAX_SCOPE: Final = 65_536
"""Characters of the scopes that a client declares."""

_MAX_PROBLEMS: Final = 5


def _checked(parse: Callable[[str], Uri]) -> Callable[[str], str]:
    """A validator that keeps the text that `parse` accepts."""

    def check(text: str) -> str:
        parse(text)
        return text

    return check


def _check_scope(text: str) -> str:
    if not is_scope_text(text):
        raise ValueError("Invalid OAuth scope")
    return text


_Name: TypeAlias = Annotated[str, Field(max_length=256)]
_WebUri: TypeAlias = Annotated[str, AfterValidator(_checked(parse_web))]
_RedirectUri: TypeAlias = Annotated[str, AfterValidator(_checked(parse_redirect))]
_KeySet: TypeAlias = Annotated[Jwks, BeforeValidator(Jwks.parse)]
ResponseType: TypeAlias = Literal[
    "code",
    "token",
    "none",
    "code id_token token",
    "code id_token",
    "code token",
    "id_token token",
    "id_token",
]
_GrantType: TypeAlias = Literal[
    "authorization_code",
    "implicit",
    "refresh_token",
    "password",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
]
_AuthMethod: TypeAlias = Literal[
    "client_secret_basic",
    "client_secret_jwt",
    "client_secret_post",
    "none",
    "private_key_jwt",
    "self_signed_tls_client_auth",
    "tls_client_auth",
]


class ClientMetadata(BaseModel):
    """The members that this server looks at. Their defaults are those of RFC 7591."""

    model_config = ConfigDict(frozen=True, strict=True, arbitrary_types_allowed=True)

    redirect_uris: Annotated[list[_RedirectUri], Field(min_length=1, max_length=MAX_ITEMS)]
    response_types: Annotated[list[ResponseType], Field(min_length=1, max_length=MAX_ITEMS)] = [
        "code"
    ]
    grant_types: Annotated[list[_GrantType], Field(min_length=1, max_length=MAX_ITEMS)] = [
        "authorization_code"
    ]
    scope: Annotated[str, Field(max_length=MAX_SCOPE), AfterValidator(_check_scope)] | None = None
    token_endpoint_auth_method: _AuthMethod = "client_secret_basic"  # noqa: S105 - no secret
    token_endpoint_auth_signing_alg: str | None = None
    userinfo_signed_response_alg: str | None = None
    userinfo_encrypted_response_alg: str | None = None
    jwks_uri: _WebUri | None = None
    jwks: _KeySet | None = None
    application_type: Literal["web", "native"] = "web"
    subject_type: Literal["public", "pairwise"] = "public"
    request_object_signing_alg: str | None = None
    id_token_signed_response_alg: str | None = None
    authorization_encrypted_response_enc: Literal["A128CBC-HS256"] | None = None
    authorization_encrypted_response_alg: str | None = None
    client_id: str | None = None
    client_name: _Name | None = None
    client_uri: _WebUri | None = None
    policy_uri: _WebUri | None = None
    tos_uri: _WebUri | None = None
    logo_uri: _WebUri | None = None
    default_max_age: float | None = None
    tls_client_certificate_bound_access_tokens: bool | None = None
    dpop_bound_access_tokens: bool | None = None
    authorization_details_types: Annotated[list[str], Field(max_length=MAX_ITEMS)] | None = None

    @classmethod
    def parse(cls, value: object) -> ClientMetadata:
        """Check a parsed document. Raises `InvalidClientMetadata`, which names wrong members."""
        if not isinstance(value, dict):
            raise InvalidClientMetadata("The document is not a JSON object")
        for name in cls.model_fields:
            # Absent members are None; a document cannot say so itself.
            if name in value and value[name] is None:
                raise InvalidClientMetadata(f'Validation of "{name}" failed with error: it is null')
        try:
            return cls.model_validate(value)
        except ValidationError as exc:
            raise InvalidClientMetadata(_problems(exc)) from exc

    @property
    def scopes(self) -> list[str]:
        """The scopes that the client may ask for."""
        return self.scope.split(" ") if self.scope else []


def _problems(exc: ValidationError) -> str:
    """Name the members that are wrong and what is wrong with each."""
    return " ".join(_problem(error) for error in exc.errors(include_url=False)[:_MAX_PROBLEMS])


def _problem(error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"])
    cause = error.get("ctx", {}).get("error")
    message = str(cause) if isinstance(cause, ValueError) else error["msg"]
    return f'Validation of "{path}" failed with error: {message}' if path else str(message)
