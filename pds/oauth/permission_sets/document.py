"""Lexicon documents that define permission sets.

Spec: https://atproto.com/specs/permission#permission-sets
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pds.oauth.errors import InvalidScope
from pds.oauth.scopes.include import Permission

MAX_PERMISSIONS: Final = 1_000
_KIND: Final = "permission-set"


class InvalidLexiconDocument(ValueError):
    """The JSON is not the Lexicon document that it should be."""


@dataclass(slots=True, frozen=True)
class PermissionSet:
    """A permission set: what it lists, and what a person is told about it."""

    nsid: str
    permissions: tuple[Permission, ...]
    title: str | None
    titles: Mapping[str, str]
    """By language tag."""
    detail: str | None
    details: Mapping[str, str]
    """By language tag."""


def check_document(value: object, nsid: str) -> dict[str, Any]:
    """Return `value` if it is the Lexicon document `nsid`. Raises `InvalidLexiconDocument`.

    Of its definitions only a permission set is looked at.
    """
    if not isinstance(value, dict) or value.get("lexicon") != 1:
        raise InvalidLexiconDocument("it is no Lexicon document of version 1")
    if value.get("id") != nsid:
        raise InvalidLexiconDocument(f"its id is not {nsid}")
    if not isinstance(value.get("defs"), dict):
        raise InvalidLexiconDocument("it has no definitions")
    main = value["defs"].get("main")
    if isinstance(main, dict) and main.get("type") == _KIND:
        _check_set(main)
    return value


def permission_set_of(document: Mapping[str, Any]) -> PermissionSet:
    """Return the permission set in a checked document. Raises `InvalidScope` if it is another."""
    nsid, main = document["id"], document["defs"].get("main")
    if not isinstance(main, dict) or main.get("type") != _KIND:
        raise InvalidScope(f"Lexicon document is not a permission set ({nsid})")
    return PermissionSet(
        nsid,
        tuple(main["permissions"]),
        main.get("title"),
        main.get("title:lang", {}),
        main.get("detail"),
        main.get("detail:lang", {}),
    )


def _check_set(main: Mapping[str, Any]) -> None:
    permissions = main.get("permissions")
    if not isinstance(permissions, list) or not all(map(_is_permission, permissions)):
        raise InvalidLexiconDocument("its permissions are not a list of permissions")
    if len(permissions) > MAX_PERMISSIONS:
        raise InvalidLexiconDocument(f"it lists more than {MAX_PERMISSIONS} permissions")
    if not all(isinstance(main.get(name, ""), str) for name in ("title", "detail")):
        raise InvalidLexiconDocument("its title or detail is not a text")
    for name in ("title:lang", "detail:lang"):
        texts = main.get(name, {})
        if not isinstance(texts, dict) or not all(isinstance(one, str) for one in texts.values()):
            raise InvalidLexiconDocument(f"{name} does not give a text for each language")


def _is_permission(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") == "permission"
        and isinstance(value.get("resource"), str)
        and value["resource"] != ""
    )
