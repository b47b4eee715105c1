"""What a client may ask for. Results and texts were compared with the reference PDS."""

from __future__ import annotations

from typing import Any

import pytest

from pds.oauth.clients.client import Client
from pds.oauth.errors import (
    ConsentRequired,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    UnsupportedResponseType,
)
from pds.oauth.requests.rules import RequestRules
from pds.oauth.scopes.scope import parse_scope
from tests.pds.oauth.clients.metadata_samples import MISSING
from tests.pds.oauth.requests.samples import (
    CHALLENGE,
    REDIRECT_URI,
    SCOPE,
    confidential_client,
    parameters,
    payload,
    public_client,
)


class Sets:
    """Permission sets, of which none is found while `is_up` is false."""

    def __init__(self) -> None:
        self.asked_for: list[str] = []
        self.is_up = True

    async def resolve(self, scope: str) -> None:
        self.asked_for.append(scope)
        if not self.is_up:
            raise InvalidScope("Could not resolve Lexicon")


@pytest.fixture
def sets() -> Sets:
    return Sets()


@pytest.fixture
def rules(sets: Sets) -> RequestRules:
    return RequestRules(
        is_scope=lambda text: parse_scope(text) is not None, resolve_sets=sets.resolve
    )


DECLARED = "atproto transition:generic future:thing openid"
PKCE = {"code_challenge": MISSING, "code_challenge_method": MISSING}

REFUSED: list[tuple[dict[str, Any], type[OAuthError], str]] = [
    ({"claims": "{}"}, InvalidRequest, 'Unsupported "claims" parameter'),
    ({"id_token_hint": "a.b.c"}, InvalidRequest, 'Unsupported "id_token_hint" parameter'),
    ({"nonce": "x"}, InvalidRequest, 'Unsupported "nonce" parameter'),
    ({"nonce": "x", "response_type": "token"}, InvalidRequest, 'Unsupported "nonce" parameter'),
    (
        {"response_type": "token", "scope": "repo:*"},
        UnsupportedResponseType,
        'Unsupported response_type "token"',
    ),
    (
        {"authorization_details": [{"type": "x"}], "scope": "repo:*"},
        InvalidRequest,
        'Unsupported "authorization_details" parameter',
    ),
    (
        {"scope": "atproto repo:*", "redirect_uri": "https://evil.com/"},
        InvalidScope,
        'Scope "repo:*" is not declared in the client metadata',
    ),
    (
        {"redirect_uri": "https://evil.com/", **PKCE},
        InvalidRequest,
        "Invalid redirect_uri https://evil.com/",
    ),
    ({**PKCE, "scope": "transition:generic"}, InvalidRequest, "Use of PKCE is required"),
    (
        {"code_challenge": "", "code_challenge_method": MISSING},
        InvalidRequest,
        "Use of PKCE is req",
    ),
    (
        {"code_challenge": MISSING},
        InvalidRequest,
        "code_challenge is required when code_challenge_method is provided",
    ),
    (
        {"scope": "transition:generic", "code_challenge_method": "plain"},
        InvalidScope,
        'The "atproto" scope is required',
    ),
    ({"scope": MISSING}, InvalidScope, 'The "atproto" scope is required'),
    (
        {"scope": "atproto openid", "code_challenge_method": "plain"},
        InvalidScope,
        "OpenID Connect is not compatible with atproto",
    ),
    (
        {"code_challenge_method": "plain", "prompt": "none"},
        InvalidRequest,
        'atproto requires use of "S256" code_challenge_method',
    ),
    (
        {"code_challenge_method": MISSING},
        InvalidRequest,
        'atproto requires use of "S256" code_challenge_method',
    ),
    (
        {"prompt": "none", "login_hint": "foo"},
        ConsentRequired,
        "Public clients are not allowed to use silent-sign-on",
    ),
    ({"login_hint": "Foo"}, InvalidRequest, 'Invalid login_hint "foo"'),
    ({"login_hint": "@alice.test"}, InvalidRequest, 'Invalid login_hint "@alice.test"'),
    ({"login_hint": "did:key:zabc"}, InvalidRequest, 'Invalid login_hint "did:key:zabc"'),
    ({"login_hint": "did:plc:x"}, InvalidRequest, 'Invalid login_hint "did:plc:x"'),
]


@pytest.mark.parametrize(("changes", "kind", "reason"), REFUSED)
async def test_a_request_that_breaks_a_rule_is_refused(
    rules: RequestRules, changes: dict[str, Any], kind: type[OAuthError], reason: str
) -> None:
    with pytest.raises(kind) as refused:
        await rules.check(public_client(scope=DECLARED), parameters(**changes))
    assert refused.value.description.startswith(reason)


async def test_a_request_of_another_client_is_refused(rules: RequestRules) -> None:
    with pytest.raises(InvalidRequest, match="does not match the value used to authenticate") as no:
        await rules.check(public_client(), parameters(client_id="https://other.app/x"))
    assert no.value.parameters is None


async def test_what_is_asked_for_is_kept(rules: RequestRules, sets: Sets) -> None:
    checked = await rules.check(confidential_client(), parameters(login_hint="ALICE.Bsky.Social"))

    assert checked.json == payload(login_hint="alice.bsky.social")
    assert sets.asked_for == [SCOPE]


async def test_scopes_are_kept_once_and_unknown_ones_dropped(rules: RequestRules) -> None:
    checked = await rules.check(
        public_client(scope=DECLARED),
        parameters(scope="transition:generic atproto future:thing transition:generic"),
    )
    assert checked.scope == "transition:generic atproto"


async def test_the_only_redirect_uri_need_not_be_named(rules: RequestRules) -> None:
    checked = await rules.check(public_client(), parameters(redirect_uri=MISSING))
    assert checked.redirect_uri == REDIRECT_URI


async def test_one_of_several_redirect_uris_has_to_be_named(rules: RequestRules) -> None:
    client = public_client(redirect_uris=[REDIRECT_URI, "https://app.bsky.app/other"])
    with pytest.raises(InvalidRequest, match="redirect_uri is required") as refused:
        await rules.check(client, parameters(redirect_uri=MISSING))
    assert refused.value.parameters is None


@pytest.mark.parametrize(
    ("client", "prompt", "expected"),
    [
        (public_client(), None, "consent"),
        (public_client(), "login", "consent"),
        (public_client(), "select_account", "consent"),
        (public_client(), "create", "create"),
        (public_client(is_trusted=True), None, None),
        (public_client(is_trusted=True), "none", "none"),
        (confidential_client(), None, None),
        (confidential_client(), "none", "none"),
        (confidential_client(), "login", "login"),
    ],
)
async def test_people_are_always_asked_about_clients_that_prove_nothing(
    rules: RequestRules, client: Client, prompt: str | None, expected: str | None
) -> None:
    asked = parameters() if prompt is None else parameters(prompt=prompt)
    assert (await rules.check(client, asked)).prompt == expected


async def test_permission_sets_have_to_be_found(rules: RequestRules, sets: Sets) -> None:
    sets.is_up = False
    with pytest.raises(InvalidScope, match="Could not resolve Lexicon"):
        await rules.check(public_client(), parameters())


@pytest.mark.parametrize(
    "changes",
    [{"scope": "atproto repo:*"}, {"response_type": "token"}, PKCE, {"prompt": "none"}],
)
async def test_a_refusal_may_go_to_the_clients_own_redirect_uri(
    rules: RequestRules, changes: dict[str, Any]
) -> None:
    with pytest.raises(OAuthError) as refused:
        await rules.check(public_client(), parameters(**changes))

    assert refused.value.parameters is not None
    assert refused.value.parameters.redirect_uri == REDIRECT_URI
    assert refused.value.parameters.state == "xyz"


@pytest.mark.parametrize("uri", ["https://evil.com/", "https://app.bsky.app/cb/../evil"])
@pytest.mark.parametrize("changes", [{}, {"nonce": "x"}, {"scope": "repo:*"}])
async def test_no_refusal_goes_to_a_redirect_uri_that_the_client_does_not_have(
    rules: RequestRules, uri: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(OAuthError) as refused:
        await rules.check(public_client(), parameters(redirect_uri=uri, **changes))
    assert refused.value.parameters is None


def test_samples_are_what_rfc_7636_has() -> None:
    assert parameters().code_challenge == CHALLENGE
