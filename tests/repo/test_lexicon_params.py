"""Query parameters: coercion, defaults, and what clients are told."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo.lexicon import InvalidLexicon, default_lexicons

LIST_RECORDS = "com.atproto.repo.listRecords"
GET_BLOCKS = "com.atproto.sync.getBlocks"
CID = "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"


def parse(nsid: str, query: str) -> dict[str, object]:
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    return dict(default_lexicons().parse_params(nsid, pairs))


def refusal(nsid: str, query: str) -> str:
    """The reason for which a query is refused."""
    with pytest.raises(InvalidLexicon) as caught:
        parse(nsid, query)
    message = str(caught.value)
    assert message == f"Invalid {nsid} params: {caught.value.reason}"
    return caught.value.reason


def test_values_are_typed_and_defaults_filled_in() -> None:
    assert parse(LIST_RECORDS, "repo=a.test&collection=a.b.c&reverse=true") == {
        "repo": "a.test",
        "collection": "a.b.c",
        "limit": 50,
        "reverse": True,
    }


def test_unknown_names_are_ignored() -> None:
    assert "x" not in parse(LIST_RECORDS, "repo=a.test&collection=a.b.c&x=1&x=2")


def test_repeated_names_make_an_array() -> None:
    assert parse(GET_BLOCKS, f"did=did:plc:x&cids={CID}&cids={CID}")["cids"] == [CID, CID]
    assert parse(GET_BLOCKS, f"did=did:plc:x&cids={CID}")["cids"] == [CID]


def test_empty_values_count_as_absent() -> None:
    assert parse(LIST_RECORDS, "repo=a.test&collection=a.b.c&limit=&limit=7&cursor=") == {
        "repo": "a.test",
        "collection": "a.b.c",
        "limit": 7,
    }
    assert refusal(LIST_RECORDS, "repo=&collection=a.b.c") == 'Missing required key "repo"'


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", 'Missing required key "repo"'),
        ("repo=a.test", 'Missing required key "collection"'),
        ("repo=x", 'Invalid AT identifier (got "x")'),
        ("repo=a.test&collection=a.b", 'Invalid NSID (got "a.b")'),
        ("limit=abc", 'Expected integer value type (got "abc")'),
        ("limit=1.5", 'Expected integer value type (got "1.5")'),
        ("limit=%2B5", 'Expected integer value type (got "+5")'),
        ("limit=1_0", 'Expected integer value type (got "1_0")'),
        ("limit=%EF%BC%91", 'Expected integer value type (got "１")'),
        ("limit=" + "9" * 5000, f'Expected integer value type (got "{"9" * 100}…")'),
        ("reverse=maybe", 'Expected boolean value type (got "maybe")'),
        ("reverse=True", 'Expected boolean value type (got "True")'),
        ("limit=1&limit=x", 'Expected integer value type (got "x")'),
    ],
)
def test_a_bad_value_is_named(query: str, reason: str) -> None:
    assert refusal(LIST_RECORDS, query) == reason


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("limit=0", "integer too small (minimum 1, got 0)"),
        ("limit=-5", "integer too small (minimum 1, got -5)"),
        ("limit=101", "integer too big (maximum 100, got 101)"),
        ("limit=9007199254740992", "Expected integer value type (got 9007199254740992)"),
        ("limit=1&limit=2", "Expected integer value type (got [1, 2])"),
        ("limit=1&limit=2&limit=3", "Expected integer value type (got [1, 2, ...])"),
        ("reverse=true&reverse=false", "Expected boolean value type (got [true, false])"),
        ("cursor=a&cursor=b", 'Expected string value type (got ["a", "b"])'),
    ],
)
def test_values_out_of_bounds_are_refused_not_clamped(query: str, reason: str) -> None:
    assert refusal(LIST_RECORDS, f"repo=a.test&collection=a.b.c&{query}") == reason


def test_an_unreadable_value_is_reported_before_a_wrong_one() -> None:
    reason = 'Expected boolean value type (got "x")'
    assert refusal(LIST_RECORDS, "repo=bad&reverse=x&limit=y") == reason


def test_formats_of_other_methods() -> None:
    assert refusal("com.atproto.sync.getRepo", "did=x") == 'Invalid DID (got "x")'
    since = "did=did:plc:x&since=zz"
    assert refusal("com.atproto.sync.getRepo", since) == 'Invalid TID string (got "zz")'
    assert refusal(GET_BLOCKS, "did=did:plc:x&cids=x") == 'Invalid CID string (got "x")'
    assert refusal("com.atproto.identity.resolveHandle", "handle=x") == 'Invalid handle (got "x")'


@pytest.mark.parametrize("key", ["actors", "actors[]", "actors[0]"])
def test_some_methods_take_bracketed_arrays(key: str) -> None:
    query = f"{key}=a.test&{key}=b.test"
    assert parse("app.bsky.actor.getProfiles", query) == {"actors": ["a.test", "b.test"]}


def test_other_methods_do_not_take_bracketed_arrays() -> None:
    reason = refusal(GET_BLOCKS, f"did=did:plc:x&cids[]={CID}")
    assert reason == 'Missing required key "cids"'


def test_too_many_items_are_refused() -> None:
    reason = refusal("app.bsky.actor.getProfiles", "&".join(["actors=a.test"] * 30))
    assert reason == "array too big (maximum 25, got 30)"


def test_a_method_without_parameters_has_none() -> None:
    assert parse("com.atproto.server.describeServer", "a=1") == {}


@settings(deadline=None)  # the first example may load the schemas
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(["repo", "collection", "limit", "reverse", "cursor", "x"]),
            st.text(max_size=20),
        ),
        max_size=8,
    )
)
def test_any_query_is_taken_or_refused_with_invalid_lexicon(pairs: list[tuple[str, str]]) -> None:
    with suppress(InvalidLexicon):
        parsed = default_lexicons().parse_params(LIST_RECORDS, pairs)
        assert parsed.keys() >= {"repo", "collection", "limit"}
