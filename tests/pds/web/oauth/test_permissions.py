"""What the consent page says that scopes permit."""

from __future__ import annotations

import pytest

from pds.oauth.permission_sets.document import PermissionSet
from pds.translations.languages import ENGLISH
from pds.web.oauth.permissions import PermissionGroup, permissions_of


def _texts(groups: list[PermissionGroup]) -> dict[str, list[str]]:
    return {group.title: [each.text for each in group.permissions] for group in groups}


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("atproto", "Learn your handle and that the account is yours"),
        ("repo:app.bsky.feed.post", "Create, change and delete app.bsky.feed.post"),
        ("repo:*?action=delete", "Delete records of any kind"),
        ("blob:*/*", "Upload files of any kind"),
        ("blob:image/*", "Upload image/*"),
        ("rpc:*?aud=did:web:a.example%23x", "Use every method of did:web:a.example#x"),
        ("account:email?action=manage", "Read and change your e-mail address"),
        ("identity:handle", "Change your handle"),
        ("identity:*", "Change your identity: its keys, servers and handle"),
    ],
)
def test_a_scope_is_told_in_words(scope: str, words: str) -> None:
    [group] = permissions_of([scope], frozenset(), {}, ENGLISH)
    assert group.permissions[0].text.startswith(words)


def test_permissions_are_grouped_and_the_new_ones_marked() -> None:
    scopes = ["atproto", "transition:email", "blob:*/*"]
    groups = permissions_of(scopes, frozenset({"atproto", "blob:*/*"}), {}, ENGLISH)
    assert list(_texts(groups)) == ["Who you are", "What you publish", "Your account"]
    new = [each.scope for group in groups for each in group.permissions if each.is_new]
    assert new == ["transition:email"]
    assert [each.required for group in groups for each in group.permissions] == [True, False, False]


def test_a_set_shows_what_it_permits_beside_its_own_title() -> None:
    listed = {"resource": "repo", "collection": ["com.example.calendar.event"]}
    foreign = {"resource": "repo", "collection": ["app.bsky.feed.post"]}
    found = PermissionSet(
        "com.example.calendar.full", (listed, foreign), "Your calendar", {}, "All of it", {}
    )
    scope = "include:com.example.calendar.full"
    [group] = permissions_of([scope], frozenset(), {found.nsid: found}, ENGLISH)
    [permission] = group.permissions
    assert permission.text == "Your calendar (com.example.calendar.full)"
    assert permission.detail == "All of it"
    assert permission.lists == ("Create, change and delete com.example.calendar.event",)


def test_a_set_cannot_make_the_page_endless() -> None:
    names = [f"com.example.calendar.kind{number}" for number in range(500)]
    listed = tuple({"resource": "repo", "collection": [name]} for name in names)
    found = PermissionSet("com.example.calendar.full", listed, "x" * 10_000, {}, None, {})
    scope = "include:com.example.calendar.full"
    [group] = permissions_of([scope], frozenset(), {found.nsid: found}, ENGLISH)
    [permission] = group.permissions
    assert permission.text == "x" * 300 + " (com.example.calendar.full)"
    assert len(permission.lists) == 51
    assert permission.lists[-1] == "… and more"


def test_a_line_does_not_end_before_what_matters() -> None:
    names = [f"com.example.harmless{number}" for number in range(40)]
    scope = "repo?" + "&".join(f"collection={name}" for name in [*names, "xyz.evil.last"])
    [group] = permissions_of([scope], frozenset(), {}, ENGLISH)
    assert group.permissions[0].text.endswith("xyz.evil.last")


def test_the_title_of_a_set_neither_hides_its_name_nor_turns_the_page() -> None:
    found = PermissionSet("com.example.a.set", (), "\u202eNothing\u3164", {}, "a\u2066\nb", {})
    [group] = permissions_of(
        ["include:com.example.a.set"], frozenset(), {found.nsid: found}, ENGLISH
    )
    assert group.permissions[0].text == "Nothing (com.example.a.set)"
    assert group.permissions[0].detail == "a b"
