"""Parsing of scopes, by vectors that the reference agrees with, and by properties."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.oauth.scopes.account import AccountScope
from pds.oauth.scopes.blob import BlobScope
from pds.oauth.scopes.repo import ACTIONS, RepoScope
from pds.oauth.scopes.rpc import RpcScope
from pds.oauth.scopes.scope import FIXED, Scope, parse_scope, parse_scopes, split_scopes

VECTORS = Path(__file__).with_name("vectors.tsv").read_text("utf-8").splitlines()
"""A scope, and its shortest form, or `-` if it is not valid."""

nsids = st.from_regex(r"[a-z]{2,5}\.[a-z0-9]{1,8}\.[a-zA-Z]{1,8}", fullmatch=True)
services = st.sampled_from(
    (
        "did:web:api.example.com#appview",
        "did:web:localhost%3A2584#a%20b",
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz#x/y?z+&=",
    )
)
types = st.from_regex(r"[a-z%]{1,6}/([a-z+;=&%~'é]{1,6}|\*)", fullmatch=True)


@pytest.mark.parametrize("line", VECTORS)
def test_scope_has_the_shortest_form_of_the_reference(line: str) -> None:
    text, expected = line.split("\t")
    scope = parse_scope(text)
    assert ("-" if scope is None else str(scope)) == expected


@pytest.mark.parametrize("line", VECTORS)
def test_the_shortest_form_means_the_same(line: str) -> None:
    scope = parse_scope(line.split("\t")[0])
    if scope is not None:
        again = parse_scope(str(scope))
        assert str(again) == str(scope)


@given(st.text(max_size=60) | st.sampled_from(VECTORS).flatmap(st.permutations).map("".join))
def test_any_text_is_a_scope_or_is_not(text: str) -> None:
    scope = parse_scope(text)
    assert scope is None or parse_scope(str(scope)) is not None


@given(st.lists(nsids, min_size=1), st.sets(st.sampled_from(ACTIONS), min_size=1))
def test_repo_scope_survives_its_text(collections: list[str], actions: set[str]) -> None:
    scope = RepoScope.of(collections, actions)
    assert scope is not None
    assert RepoScope.parse(str(scope)) == scope


@given(st.lists(nsids, min_size=1), services)
def test_rpc_scope_survives_its_text(methods: list[str], aud: str) -> None:
    scope = RpcScope.of(methods, aud)
    assert scope is not None
    assert RpcScope.parse(str(scope)) == scope


@given(st.lists(types, min_size=1), types)
def test_blob_scope_allows_the_same_as_its_text(wanted: list[str], given_type: str) -> None:
    scope = BlobScope(tuple(wanted))
    again = BlobScope.parse(str(scope))
    assert again is not None
    assert again.allows(given_type) == scope.allows(given_type)


def test_a_list_has_each_scope_once_in_its_order() -> None:
    assert split_scopes("b  a b c") == ("b", "a", "c")
    assert split_scopes(None) == ()
    known: tuple[Scope, ...] = (AccountScope("email"), RepoScope(("*",), ACTIONS))
    assert tuple(parse_scopes("account:email openid repo:*")) == known


def test_every_fixed_scope_is_known() -> None:
    assert [str(scope) for scope in parse_scopes(" ".join(FIXED))] == list(FIXED)


@pytest.mark.parametrize("unit", ["collection=a.b.c&", "action=create&", "x=y&", "%61", "&"])
def test_a_scope_of_a_hundred_kilobytes_is_parsed_in_linear_time(unit: str) -> None:
    text = f"repo?{unit * (100_000 // len(unit))}"
    assert parse_scope(text) is None or "action" not in unit
