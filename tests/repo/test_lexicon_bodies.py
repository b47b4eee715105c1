"""Request bodies against the official schemas, and what clients are told."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo.cid import Cid
from repo.lexicon import InvalidLexicon, Lexicons, MethodSchema, default_lexicons
from repo.lexicon.containers import MAX_DEPTH

DID = "did:plc:7iza6de2dwap2sbkpav7c6c6"
CREATE_RECORD = "com.atproto.repo.createRecord"
APPLY_WRITES = "com.atproto.repo.applyWrites"
CREATE_SESSION = "com.atproto.server.createSession"

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.just(Cid.of_raw(b""))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["$type", "repo", "record", "collection", "writes", "a"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def refusal(nsid: str, body: Any) -> str:
    """The message with which a body is refused."""
    with pytest.raises(InvalidLexicon) as caught:
        default_lexicons().validate_input(nsid, body)
    return str(caught.value)


def create_record(**fields: Any) -> dict[str, Any]:
    return {"repo": DID, "collection": "com.example.note", "record": {}, **fields}


def test_a_good_body_is_returned_as_it_is() -> None:
    body = create_record(unknownKey=1.5, validate=False, swapCommit=str(Cid.of_dag_cbor(b"")))
    assert default_lexicons().validate_input(CREATE_RECORD, body) is body


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"repo": "x y"}, 'Invalid AT identifier (got "x y") at $.repo'),
        ({"repo": 1}, "Expected string value type (got 1) at $.repo"),
        ({"rkey": None}, "Expected string value type (got null) at $.rkey"),
        ({"collection": "a"}, 'Invalid NSID (got "a") at $.collection'),
        ({"rkey": "a/b"}, 'Invalid record key (got "a/b") at $.rkey'),
        ({"rkey": "o" * 513}, "string too big (maximum 512, got 513) at $.rkey"),
        ({"swapCommit": "zzz"}, 'Invalid CID string (got "zzz") at $.swapCommit'),
        ({"validate": "x"}, 'Expected boolean value type (got "x") at $.validate'),
        ({"record": []}, "Expected object value type (got []) at $.record"),
        ({"record": Cid.of_raw(b"")}, "Expected object value type (got cid) at $.record"),
        ({"record": b"x"}, "Expected object value type (got bytes) at $.record"),
    ],
)
def test_a_bad_field_is_named_with_its_path(fields: dict[str, Any], message: str) -> None:
    assert refusal(CREATE_RECORD, create_record(**fields)) == message


def test_the_first_missing_key_is_named() -> None:
    assert refusal(CREATE_RECORD, {}) == 'Missing required key "repo" at $'
    assert refusal(CREATE_SESSION, {"identifier": "x"}) == 'Missing required key "password" at $'
    assert refusal(CREATE_RECORD, []) == "Expected object value type (got []) at $"


def test_the_embedded_record_is_left_to_record_validation() -> None:
    body = create_record(record={"$type": "app.bsky.feed.post", "text": 1})
    assert default_lexicons().validate_input(CREATE_RECORD, body) == body


@pytest.mark.parametrize("value", [["hunter2", "b"], {"hunter2": 1}, 42, True, None])
def test_a_misplaced_password_is_not_repeated(value: Any) -> None:
    message = refusal(CREATE_SESSION, {"identifier": "x", "password": value})
    assert message.endswith(" at $.password")
    assert "hunter2" not in message
    assert "42" not in message


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([1, 2, 3], "[1, 2, ...]"),
        ([[1], {"a": 1}], "[[...], {...}]"),
        ({"a": 1, "b": 2}, '{"a": ..., "b": ...}'),
        ({"a": 1, "b": 2, "c": 3}, '{"a": ..., "b": ..., ...}'),
        (10**50, "1" + "0" * 39 + "…"),
        (1.5, "1.5"),
    ],
)
def test_a_value_of_the_wrong_type_is_outlined(value: Any, shown: str) -> None:
    message = f"Expected string value type (got {shown}) at $.repo"
    assert refusal(CREATE_RECORD, create_record(repo=value)) == message


def test_any_message_can_be_answered() -> None:
    assert "(got integer)" in refusal(CREATE_RECORD, create_record(repo=10**5000))
    assert refusal(CREATE_RECORD, create_record(repo="\ud800")).encode("utf-8")


def test_a_long_value_is_cut_in_messages() -> None:
    message = refusal(CREATE_RECORD, create_record(repo="x" * 5000))
    assert message == f'Invalid AT identifier (got "{"x" * 100}…") at $.repo'


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (1, 'Expected an object which includes the "$type" property value type (got 1) at '),
        ({}, 'Expected an object which includes the "$type" property value type (got {}) at '),
        (
            {"$type": "x"},
            (
                f'Expected one of "{APPLY_WRITES}#create", "{APPLY_WRITES}#update" or '
                f'"{APPLY_WRITES}#delete" (got "x") at '
            ),
        ),
        (
            {"$type": f"{APPLY_WRITES}#update", "collection": "a.b.c", "value": {}},
            'Missing required key "rkey" at ',
        ),
    ],
)
def test_members_of_a_closed_union_are_checked(write: Any, message: str) -> None:
    refused = refusal(APPLY_WRITES, {"repo": DID, "writes": [write]})
    assert refused.startswith(message + "$.writes[0]")


def test_a_type_that_an_open_union_does_not_list_is_left_alone() -> None:
    body = {"subject": {"$type": "com.example.other"}}
    nsid = "com.atproto.admin.updateSubjectStatus"
    assert default_lexicons().validate_input(nsid, body) == body


def test_a_listed_type_of_an_open_union_is_checked() -> None:
    body = {"subject": {"$type": "com.atproto.admin.defs#repoRef", "did": "x"}}
    message = refusal("com.atproto.admin.updateSubjectStatus", body)
    assert message == 'Invalid DID (got "x") at $.subject.did'


def test_null_is_taken_where_the_schema_says_so() -> None:
    body = {**create_record(rkey="self"), "swapRecord": None}
    default_lexicons().validate_input("com.atproto.repo.putRecord", body)
    body["swapCommit"] = None
    assert refusal("com.atproto.repo.putRecord", body).endswith("(got null) at $.swapCommit")


def test_a_default_stands_in_for_a_required_key() -> None:
    body = {"useCount": 1}
    filled = default_lexicons().validate_input("com.atproto.server.createInviteCodes", body)
    assert filled == {"useCount": 1, "codeCount": 1}
    assert body == {"useCount": 1}


@pytest.mark.parametrize("number", [True, 1.0, "1", 2**53, -(2**53), None])
def test_only_safe_integers_are_integers(number: Any) -> None:
    message = refusal("com.atproto.server.createInviteCode", {"useCount": number})
    assert message.startswith("Expected integer value type (got ")


def test_binary_bodies_are_not_looked_into() -> None:
    assert default_lexicons().validate_input("com.atproto.repo.uploadBlob", b"x") == b"x"


@settings(deadline=None)  # the first example may load the schemas
@given(body=values)
def test_any_body_is_taken_or_refused_with_invalid_lexicon(body: Any) -> None:
    for nsid in (CREATE_RECORD, APPLY_WRITES, "app.bsky.actor.putPreferences"):
        with suppress(InvalidLexicon):
            assert default_lexicons().validate_input(nsid, body) == body


def test_nesting_is_bounded() -> None:
    # This schema contains itself, so it gives no bound of its own.
    parent = {"type": "ref", "ref": "#node"}
    defs = {
        "main": {"type": "procedure", "input": {"encoding": "application/json", "schema": parent}},
        "node": {"type": "object", "properties": {"parent": parent}},
    }
    lexicons = Lexicons(own=[{"lexicon": 1, "id": "com.example.nest", "defs": defs}])
    node: dict[str, Any] = {}
    for _ in range(100_000):
        node = {"parent": node}
    with pytest.raises(InvalidLexicon, match=f"Nested deeper than {MAX_DEPTH} levels"):
        lexicons.validate_input("com.example.nest", node)
    while "parent" in node:  # dismantled from the top, for freeing it would recurse
        node = node.pop("parent")


def test_methods_are_described() -> None:
    lexicons = default_lexicons()
    method = lexicons.method("com.atproto.server.createSession")
    assert method is not None
    assert (method.kind, method.input_encoding) == ("procedure", "application/json")
    blob = lexicons.method("com.atproto.repo.uploadBlob")
    assert blob is not None
    assert blob.input_encoding == "*/*"
    assert lexicons.method("com.atproto.sync.subscribeRepos") == MethodSchema(
        nsid="com.atproto.sync.subscribeRepos",
        kind="subscription",
        has_input=False,
        input_encoding=None,
        has_output=False,
    )
    car = lexicons.method("com.atproto.sync.getRepo")
    assert car is not None
    assert (car.has_input, car.has_output) == (False, True)


@pytest.mark.parametrize("nsid", ["com.example.nope", "app.bsky.feed.post", "app.bsky.feed.defs"])
def test_what_is_no_method_has_no_schema(nsid: str) -> None:
    lexicons = default_lexicons()
    assert lexicons.method(nsid) is None
    with pytest.raises(InvalidLexicon, match=f"^Unknown lexicon type: {nsid}$"):
        lexicons.validate_input(nsid, {})
