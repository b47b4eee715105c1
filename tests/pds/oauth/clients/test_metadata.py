"""Client metadata: the rules. The vectors were compared with the reference PDS."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.oauth.clients.client_id import parse_client_id
from pds.oauth.clients.metadata import MAX_ITEMS, ClientMetadata
from pds.oauth.clients.metadata_rules import check_metadata
from pds.oauth.errors import InvalidClientMetadata, InvalidRedirectUri
from tests.pds.oauth.clients.metadata_samples import (
    CLIENT_ID,
    KEY,
    MISSING,
    confidential,
    metadata,
)


def check(document: object) -> ClientMetadata:
    """Check a document that was found at `CLIENT_ID`."""
    checked = ClientMetadata.parse(document)
    check_metadata(parse_client_id(CLIENT_ID), checked)
    return checked


ACCEPTED: list[dict[str, Any]] = [
    metadata(),
    metadata(application_type=MISSING, response_types=MISSING, client_uri=MISSING),
    metadata(grant_types=MISSING),
    metadata(response_types=["code", "code token"]),
    metadata(client_uri="https://app.bsky.app/oauth"),
    metadata(client_uri="https://app.bsky.app/oauth/"),
    metadata(client_uri=CLIENT_ID),
    metadata(client_uri="https://app.bsky.app?x=1"),
    metadata(redirect_uris=["https://10.0.0.1/", "https://other.com/x"]),
    metadata(application_type="native", redirect_uris=["http://127.0.0.1/cb"]),
    metadata(application_type="native", redirect_uris=["http://[::1]:8080/"]),
    metadata(application_type="native", redirect_uris=["app.bsky.app:/cb"]),
    metadata(application_type="native", redirect_uris=["https://app.bsky.app/cb"]),
    metadata(authorization_details_types=[]),
    metadata(tls_client_certificate_bound_access_tokens=False),
    metadata(request_object_signing_alg="none", unknown={"a": 1}),
    confidential(),
    confidential(jwks=MISSING, jwks_uri="https://app.bsky.app/jwks"),
    confidential(jwks={"keys": [KEY, {"kty": "unheard of"}, 5]}),
]

REFUSED: list[tuple[dict[str, Any], str]] = [
    (metadata(client_id=MISSING), "client_id is required"),
    (metadata(client_id="https://other.app/x"), "client_id does not match"),
    (metadata(client_id=5), 'Validation of "client_id" failed'),
    (metadata(scope=MISSING), "Missing scope property"),
    (metadata(scope="transition:generic"), 'Missing "atproto" scope'),
    (metadata(scope="atproto atproto"), 'Duplicate scope "atproto"'),
    (metadata(scope="atproto  x"), "Invalid OAuth scope"),
    (metadata(scope='atproto "x'), "Invalid OAuth scope"),
    (metadata(grant_types=[]), 'Validation of "grant_types" failed'),
    (metadata(grant_types=["refresh_token"]), 'contains "authorization_code"'),
    (metadata(grant_types=["authorization_code"] * 2), "Duplicate grant type"),
    (metadata(grant_types=["authorization_code", "implicit"]), '"implicit" is not allowed'),
    (metadata(grant_types=["authorization_code", "password"]), '"password" is not supported'),
    (metadata(grant_types="authorization_code"), 'Validation of "grant_types" failed'),
    (metadata(response_types=["token"]), 'must include "code"'),
    (metadata(dpop_bound_access_tokens=MISSING), '"dpop_bound_access_tokens" must be true'),
    (metadata(dpop_bound_access_tokens=False), '"dpop_bound_access_tokens" must be true'),
    (metadata(dpop_bound_access_tokens="true"), 'Validation of "dpop_bound_access_tokens"'),
    (metadata(token_endpoint_auth_method=MISSING), 'method "client_secret_basic"'),
    (metadata(token_endpoint_auth_method="client_secret_post"), "Unsupported client authent"),
    (metadata(token_endpoint_auth_signing_alg="ES256"), "must not have token_endpoint_auth_sig"),
    (metadata(subject_type="pairwise"), 'Only "public" subject_type'),
    (metadata(client_uri="https://app.bsky.app/other"), "parent URL"),
    (metadata(client_uri="https://app.bsky.app/oau"), "parent URL"),
    (metadata(client_uri="https://bsky.app/"), "same origin"),
    (metadata(client_uri="https://app.bsky.app:444/"), "same origin"),
    (metadata(client_uri="https://foo.test/"), "client_uri hostname is invalid"),
    (metadata(client_uri=None), "it is null"),
    (metadata(logo_uri="javascript:alert(1)"), 'Validation of "logo_uri" failed'),
    (metadata(tos_uri="data:text/html,x"), 'Validation of "tos_uri" failed'),
    (metadata(client_name="x" * 257), 'Validation of "client_name" failed'),
    (metadata(default_max_age=5), 'Unsupported "default_max_age"'),
    (metadata(id_token_signed_response_alg="x"), 'Unsupported "id_token_signed'),
    (metadata(userinfo_signed_response_alg="x"), 'Unsupported "userinfo_signed'),
    (metadata(authorization_encrypted_response_enc="A128CBC-HS256"), "Encrypted authorization"),
    (metadata(tls_client_certificate_bound_access_tokens=True), "Mutual-TLS"),
    (metadata(authorization_details_types=["x"]), "are not supported"),
    (metadata(redirect_uris=MISSING), 'Validation of "redirect_uris" failed'),
    (metadata(redirect_uris=[]), 'Validation of "redirect_uris" failed'),
    (metadata(redirect_uris=["https://a.app/"] * (MAX_ITEMS + 1)), 'Validation of "redirect_uris"'),
    (metadata(redirect_uris=["https://a.app/", 5]), 'Validation of "redirect_uris.1" failed'),
    (metadata(redirect_uris=["javascript:alert(1)"]), "private-use URI scheme"),
    (metadata(redirect_uris=["http://app.bsky.app/"]), 'Validation of "redirect_uris.0"'),
    (confidential(jwks=MISSING), "requires jwks or jwks_uri"),
    (confidential(jwks={"keys": []}), "at least one key"),
    (confidential(jwks={"keys": [{"kty": "EC"}]}), "at least one key"),
    (confidential(jwks={"keys": [{**KEY, "d": "AA"}]}), "at least one key"),
    (confidential(jwks={"keys": [{**KEY, "kid": ""}]}), "at least one key"),
    (confidential(jwks={"keys": [KEY] * 101}), "at most 100 keys"),
    (confidential(jwks="x"), 'Validation of "jwks" failed'),
    (confidential(jwks_uri="https://app.bsky.app/jwks"), "mutually exclusive"),
    (confidential(token_endpoint_auth_signing_alg=MISSING), "Missing token_endpoint_auth_sig"),
    (confidential(application_type="native"), "Native clients must authenticate"),
]

REFUSED_REDIRECT_URIS = [
    ("web", "http://127.0.0.1/cb", "only allowed for native apps"),
    ("web", "http://[::1]/", "only allowed for native apps"),
    ("web", "app.bsky.app:/cb", "only allowed for native apps"),
    ("web", "https://u@app.bsky.app/", "must not contain credentials"),
    ("web", "https://foo.test/x", "must not be a local hostname"),
    ("native", "app.bsky.evil:/cb", "in reverse order (app.bsky.app:)"),
    ("native", "app.bsky:/cb", "in reverse order"),
]


@pytest.mark.parametrize("document", ACCEPTED)
def test_metadata_that_keeps_the_rules_is_accepted(document: dict[str, Any]) -> None:
    assert check(document).client_id == CLIENT_ID


@pytest.mark.parametrize(("document", "reason"), REFUSED)
def test_metadata_that_breaks_a_rule_is_refused(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidClientMetadata) as refused:
        check(document)
    assert reason in refused.value.description


@pytest.mark.parametrize(("kind", "uri", "reason"), REFUSED_REDIRECT_URIS)
def test_redirect_uris_that_break_a_rule_are_refused(kind: str, uri: str, reason: str) -> None:
    with pytest.raises(InvalidRedirectUri) as refused:
        check(metadata(application_type=kind, redirect_uris=[uri]))
    assert reason in refused.value.description


@pytest.mark.parametrize("document", [None, [], "x", 5, True])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(InvalidClientMetadata, match="not a JSON object"):
        check(document)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(member=st.sampled_from(sorted(ClientMetadata.model_fields)), value=JSON)
def test_any_value_of_a_member_is_accepted_or_refused(member: str, value: object) -> None:
    try:
        checked = check(metadata(**{member: value}))
    except (InvalidClientMetadata, InvalidRedirectUri):
        return
    assert checked.client_id == CLIENT_ID
