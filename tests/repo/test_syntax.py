"""Every identifier and string format against the protocol's public vectors."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo import syntax
from repo.lexicon.formats import parse_cid
from repo.syntax import InvalidSyntax
from tests.repo.interop import INTEROP, vector_lines

PARSERS: dict[str, Callable[[str], object]] = {
    "atidentifier": syntax.parse_at_identifier,
    "aturi": syntax.parse_at_uri,
    "cid": parse_cid,
    "datetime": syntax.parse_datetime,
    "did": syntax.parse_did,
    "handle": syntax.parse_handle,
    "language": syntax.parse_language,
    "nsid": syntax.parse_nsid,
    "recordkey": syntax.parse_rkey,
    "tid": syntax.parse_tid,
    "uri": syntax.parse_uri,
}


def cases(suffix: str) -> list[tuple[str, str]]:
    """Kind and text of each line of the vector files with this suffix."""
    return [
        (path.name.split("_")[0], line)
        for path in sorted(INTEROP.glob(f"syntax/*_{suffix}.txt"))
        for line in vector_lines(f"syntax/{path.name}")
    ]


def test_there_are_vectors_for_every_parser() -> None:
    assert {kind for kind, _ in cases("syntax_valid")} == set(PARSERS)


def test_valid_vectors_are_accepted() -> None:
    refused = [case for case in cases("syntax_valid") if not accepts(*case)]
    # CIDs are read in base32 alone, which is how the protocol writes them.
    of_other_bases = [case for case in refused if case[0] == "cid" and case[1][0] != "b"]
    assert refused == of_other_bases
    assert accepts("cid", "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")


@pytest.mark.parametrize("suffix", ["syntax_invalid", "parse_invalid"])
def test_invalid_vectors_are_refused(suffix: str) -> None:
    accepted = [case for case in cases(suffix) if accepts(*case)]
    assert accepted == []


def accepts(kind: str, text: str) -> bool:
    try:
        parsed = PARSERS[kind](text)
    except InvalidSyntax:
        return False
    assert str(parsed) == text
    return True


@pytest.mark.parametrize("kind", PARSERS)
@settings(deadline=None)
@given(text=st.text(max_size=40) | st.from_regex(r"[A-Za-z:/.#%-]{0,30}\n?", fullmatch=True))
def test_any_text_is_accepted_or_refused_with_invalid_syntax(kind: str, text: str) -> None:
    if accepts(kind, text):
        assert "\n" not in text
        assert text


@pytest.mark.parametrize("kind", PARSERS)
def test_a_trailing_newline_is_refused(kind: str) -> None:
    for vector_kind, text in cases("syntax_valid"):
        assert vector_kind != kind or not accepts(kind, text + "\n")


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize(
    "unit", ["a", "-", "a.", "a-", ".", ":", "did:a:", "%", "at://", "a-a-", "1", "/", "0-aa-", "é"]
)
def test_hostile_repetition_takes_no_time(kind: str, unit: str) -> None:
    prefixes = ["", "did:a:", "at://", "at://did:a:b/", "a:", "en-"]
    started = time.process_time()
    for prefix in prefixes:
        for length in (60, 250, 8000, 1_000_000):
            accepts(kind, prefix + unit * (length // len(unit)) + "!")
    assert time.process_time() - started < 1.0


def test_at_uri_gives_its_parts() -> None:
    uri = syntax.parse_at_uri("at://did:plc:abc/app.bsky.feed.post/3jzfcijpj2z2a")
    assert (uri.authority, uri.collection, uri.rkey) == (
        "did:plc:abc",
        "app.bsky.feed.post",
        "3jzfcijpj2z2a",
    )
    assert syntax.parse_at_uri("at://alice.test").collection is None


def test_handles_are_normalized_to_lower_case() -> None:
    assert syntax.normalize_handle("Alice.TEST") == "alice.test"


@pytest.mark.parametrize("handle", ["a.local", "a.ARPA", "a.b.onion", "a.example"])
def test_reserved_tlds_are_refused(handle: str) -> None:
    with pytest.raises(InvalidSyntax, match=r"^Handle TLD is invalid or disallowed$"):
        syntax.ensure_allowed_handle_tld(syntax.parse_handle(handle))


@pytest.mark.parametrize("handle", ["a.test", "local.com", "a.bsky.social"])
def test_other_tlds_are_allowed(handle: str) -> None:
    parsed = syntax.parse_handle(handle)
    syntax.ensure_allowed_handle_tld(parsed)
    assert parsed == handle


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T23:59:60Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00." + "1" * 60 + "Z",
        "9999-12-31T23:00:00-07:00",
        "2024-01-01T00:00:00Ｚ",
        "２024-01-01T00:00:00Z",
    ],
)
def test_impossible_times_are_refused(text: str) -> None:
    assert not accepts("datetime", text)


@pytest.mark.parametrize(
    "text", ["2024-02-29T00:00:00Z", "0000-02-29T00:00:00Z", "9999-12-31T23:00:00+07:00"]
)
def test_unusual_times_are_accepted(text: str) -> None:
    assert accepts("datetime", text)


@pytest.mark.parametrize("text", ["http:", "http:/", "https://", "1http:x", "a:\x01", "a: b"])
def test_uris_that_lead_nowhere_are_refused(text: str) -> None:
    assert not accepts("uri", text)


@pytest.mark.parametrize("text", ["https://例え.jp/x", "file:///etc", "h2+x.y-z:foo"])
def test_uris_of_any_scheme_and_script_are_accepted(text: str) -> None:
    assert accepts("uri", text)


@pytest.mark.parametrize(
    "text", ["de-419-DE", "i-foo", "EN-us", "en--us", "en-u", "en-x", "a" * 10_000, "sgn-be-nl"]
)
def test_malformed_languages_are_refused(text: str) -> None:
    assert not accepts("language", text)


def test_messages_quote_a_bounded_and_encodable_part_of_the_text() -> None:
    with pytest.raises(InvalidSyntax) as caught:
        syntax.parse_did("x\n\ud800" + "y" * 5000)
    message = str(caught.value)
    assert message.startswith('Invalid DID (got "x\\n')
    assert len(message) < 150
    assert message.encode("utf-8")
    assert caught.value.kind == "DID"
