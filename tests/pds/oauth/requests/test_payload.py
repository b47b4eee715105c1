"""Reading requests: each parameter on its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.oauth.errors import InvalidRequest
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.requests.payload import (
    MAX_SCOPE,
    MAX_STATE,
    RequestObject,
    RequestReference,
    read_pushed,
    read_query,
)
from tests.pds.oauth.clients.metadata_samples import CLIENT_ID, MISSING
from tests.pds.oauth.requests.samples import payload

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"response_type": MISSING}, "at body.response_type"),
    ({"response_type": "foo"}, "at body.response_type"),
    ({"client_id": MISSING}, "at body.client_id"),
    ({"client_id": ""}, "at body.client_id"),
    ({"scope": ""}, "Invalid OAuth scope at body.scope"),
    ({"scope": "atproto  x"}, "Invalid OAuth scope at body.scope"),
    ({"scope": "a" * (MAX_SCOPE + 1)}, "at body.scope"),
    ({"redirect_uri": "javascript:alert(1)"}, "at body.redirect_uri"),
    ({"redirect_uri": "https://a.app/" + "a" * 2_048}, "Invalid URL at body.redirect_uri"),
    ({"state": "a" * (MAX_STATE + 1)}, "at body.state"),
    ({"state": 5}, "at body.state"),
    ({"state": None}, "state is null"),
    ({"code_challenge": "a" * 2_049}, "at body.code_challenge"),
    ({"code_challenge_method": "S512"}, "at body.code_challenge_method"),
    ({"prompt": "foo"}, "at body.prompt"),
    ({"prompt": ""}, "at body.prompt"),
    ({"login_hint": ""}, "at body.login_hint"),
    ({"ui_locales": "xx_YY"}, "at body.ui_locales"),
    ({"response_mode": "foo"}, "at body.response_mode"),
    ({"max_age": "-1"}, "at body.max_age"),
    ({"max_age": "9" * 5_000}, "at body.max_age"),
    ({"display": "foo"}, "at body.display"),
    ({"request_uri": "urn:x"}, "a pushed request has no request_uri"),
]


def test_parameters_keep_their_values_and_strangers_are_left_out() -> None:
    read = read_pushed(payload(max_age="5", ui_locales="fr-CA en", unknown="x", display="popup"))

    assert isinstance(read, AuthorizationParameters)
    assert read.json == payload(max_age=5, ui_locales="fr-CA en", display="popup")


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
def test_a_wrong_parameter_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_pushed(payload(**changes))
    assert refused.value.description.startswith("Invalid authorization request: ")
    assert reason in refused.value.description
    assert len(refused.value.description) < 1_000


def test_a_request_may_be_a_jwt() -> None:
    sent = {"client_id": CLIENT_ID, "request": "a.b.c", "state": "ignored"}
    assert read_pushed(sent) == read_query(sent) == RequestObject(CLIENT_ID, "a.b.c")


def test_a_query_may_refer_to_a_request() -> None:
    query = {"client_id": CLIENT_ID, "request_uri": "urn:x", "response_type": "code"}
    assert read_query(query) == RequestReference(CLIENT_ID, "urn:x")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"request_uri": "urn:x"},
        {"client_id": CLIENT_ID, "request_uri": ""},
        {"client_id": CLIENT_ID, "request": ""},
        {"client_id": CLIENT_ID, "request": "a" * 65_537},
        {"client_id": CLIENT_ID, "request_uri": "urn:x", "request": "a.b.c"},
    ],
)
def test_a_query_that_says_neither_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="Invalid request parameters: "):
        read_query(query)


@given(
    st.dictionaries(
        st.sampled_from([*payload(), "prompt", "max_age", "nonce", "request", "request_uri"])
        | st.text(),
        st.text() | st.none() | st.integers() | st.lists(st.text()) | st.just("none"),
    )
)
def test_any_query_is_read_or_refused(query: dict[str, Any]) -> None:
    try:
        read = read_query(query)
    except InvalidRequest:
        return
    assert read.client_id == query["client_id"]
