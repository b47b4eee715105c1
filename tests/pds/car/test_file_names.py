"""Names of files: exact both ways, and safe whatever the key."""

from __future__ import annotations

import re
import string
from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.car.file_names import NotAFileName, key_of, path_of
from repo.syntax import InvalidSyntax

rkeys = st.one_of(
    st.text(string.ascii_letters + string.digits + "_~.:-", min_size=1, max_size=512),
    st.text("%.-aA~:", min_size=1, max_size=3).map(lambda text: text.replace("%", ".")),
    st.sampled_from(["con", "NUL", "com1.x", "aux.json", "a" * 199 + ".", "a" * 200 + ".b"]),
).filter(lambda text: text not in (".", ".."))
labels = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", fullmatch=True)
collections = st.builds(
    lambda first, more, last: ".".join((first, *more, last)),
    st.sampled_from(["com", "con", "app", "COM1"]),
    st.lists(labels, min_size=1, max_size=3),
    st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,62}", fullmatch=True),
)
keys = st.builds(lambda collection, rkey: f"{collection}/{rkey}", collections, rkeys)

DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@given(keys)
def test_a_path_leads_back_to_its_key(key: str) -> None:
    assert key_of(path_of(key)) == key


@given(keys)
def test_every_part_of_a_path_is_a_plain_name(key: str) -> None:
    path = path_of(key)
    assert not path.is_absolute()
    for part in path.parts:
        assert re.fullmatch(r"[a-z0-9%][a-z0-9%._-]*", part)
        assert part not in (".", "..")
        assert len(f"{part}.dag-cbor") <= 255
        assert not part.endswith(".")
        assert not DEVICES.fullmatch(part)
        assert not DEVICES.fullmatch(f"{part}.json")


@given(keys, keys)
def test_no_two_keys_meet_where_case_does_not_count(one: str, other: str) -> None:
    if one != other:
        assert str(path_of(one)).casefold() != str(path_of(other)).casefold()
        assert not path_of(one).is_relative_to(path_of(other))


@given(keys)
def test_a_common_decoder_reads_them(key: str) -> None:
    assert unquote(str(path_of(key)).replace("%/%", "")) == key


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("app.bsky.feed.post/3jzfcijpj2z2a", "app.bsky.feed.post/3jzfcijpj2z2a"),
        ("app.bsky.actor.profile/self", "app.bsky.actor.profile/self"),
        ("com.example.fooBar/a:b~c", "com.example.foo%42ar/a%3ab%7ec"),
        ("com.example.x/...", "com.example.x/%2e.%2e"),
        ("com.example.x/-rf", "com.example.x/%2drf"),
        ("com.example.x/_", "com.example.x/%5f"),
        ("com.example.x/nul.txt", "com.example.x/%6eul.txt"),
        ("com.example.x/x.json", "com.example.x/x.json"),
        ("com.example.x/" + "a" * 201, f"com.example.x/{'a' * 200}%/%a"),
        ("com.example.x/" + "a" * 199 + "A", f"com.example.x/{'a' * 199}%%/%41"),
    ],
)
def test_names(key: str, path: str) -> None:
    assert str(path_of(key)) == path
    assert key_of(PurePosixPath(path)) == key


@pytest.mark.parametrize(
    "key", ["", "x", "com.example.x/", "com.example.x/.", "../../etc/passwd", "com.example.x/a/b"]
)
def test_what_is_no_key_has_no_path(key: str) -> None:
    with pytest.raises(InvalidSyntax):
        path_of(key)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("com.example.x/A", "has to be com.example.x/%41.json"),
        ("com.example.x/%61", "has to be com.example.x/a.json"),
        ("com.example.x/a:b", "has to be com.example.x/a%3ab.json"),
        ("com.example.x/a%/%b", "has to be com.example.x/ab.json"),
        ("com.example.x/%2e", "not that of a record"),
        ("com.example.x/a%2fb", "not that of a record"),
        ("com.example.x/a/b", "not that of a record"),
        ("com.example.x/a b", "not that of a record"),
        ("com.example.x/caf\u00e9", "not that of a record"),
        ("com.example.x/a%4", "not that of a record"),
        ("self", "not that of a record"),
        ("com.example.x/" + "a" * 4000, "not that of a record"),
    ],
)
def test_other_paths_are_refused_and_the_right_one_told(path: str, reason: str) -> None:
    with pytest.raises(NotAFileName, match=re.escape(reason)):
        key_of(PurePosixPath(path))
