"""Lexicon documents that may define permission sets."""

from __future__ import annotations

from typing import Any

import pytest

from pds.oauth.errors import InvalidScope
from pds.oauth.permission_sets.document import (
    MAX_PERMISSIONS,
    InvalidLexiconDocument,
    check_document,
    permission_set_of,
)
from tests.pds.oauth.permission_sets.lexicons import NSID, permission_set

ENTRY = {"type": "permission", "resource": "blob"}


def test_a_set_has_its_permissions_and_texts() -> None:
    texts: dict[str, Any] = {"title:lang": {"de": "Kalender"}, "detail": "All of it"}
    one = permission_set_of(check_document(permission_set(**texts), NSID))
    assert (one.nsid, one.title, one.titles) == (NSID, "Calendar", {"de": "Kalender"})
    assert (one.detail, one.details) == ("All of it", {})
    assert [dict(each)["resource"] for each in one.permissions] == ["repo"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {},
        {**permission_set(), "lexicon": 2},
        {**permission_set(), "id": "com.example.calendar.other"},
        {**permission_set(), "defs": []},
        permission_set(permissions=None),
        permission_set(permissions={}),
        permission_set(permissions=["repo"]),
        permission_set(permissions=[{**ENTRY, "type": "other"}]),
        permission_set(permissions=[{**ENTRY, "resource": ""}]),
        permission_set(permissions=[{**ENTRY, "resource": 7}]),
        permission_set(permissions=[ENTRY] * (MAX_PERMISSIONS + 1)),
        permission_set(title=7),
        permission_set(detail=["x"]),
        permission_set(**{"title:lang": "de"}),
        permission_set(**{"detail:lang": {"de": 1}}),
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(InvalidLexiconDocument):
        check_document(value, NSID)


@pytest.mark.parametrize("main", [{"type": "query"}, None, "text"])
def test_a_lexicon_of_another_kind_is_no_set(main: Any) -> None:
    document = check_document({"lexicon": 1, "id": NSID, "defs": {"main": main}}, NSID)
    with pytest.raises(InvalidScope, match=rf"is not a permission set \({NSID}\)"):
        permission_set_of(document)
