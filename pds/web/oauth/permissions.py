"""What scopes mean, in words for the person who is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final
from urllib.parse import quote

from pds.oauth.permission_sets.document import PermissionSet
from pds.oauth.scopes.account import AccountScope
from pds.oauth.scopes.blob import BlobScope
from pds.oauth.scopes.identity import IdentityScope
from pds.oauth.scopes.include import IncludeScope
from pds.oauth.scopes.repo import ACTIONS, RepoScope
from pds.oauth.scopes.rpc import RpcScope
from pds.oauth.scopes.scope import (
    ATPROTO,
    TRANSITION_CHAT,
    TRANSITION_EMAIL,
    TRANSITION_GENERIC,
    FixedScope,
    Scope,
    parse_scope,
)
from pds.web.pages.strangers_texts import on_one_line

_IDENTITY: Final = "Who you are"
_CONTENT: Final = "What you publish"
_SERVICES: Final = "Services in your name"
_ACCOUNT: Final = "Your account"
_SETS: Final = "Sets of permissions"
_GROUPS: Final = (_IDENTITY, _SETS, _CONTENT, _SERVICES, _ACCOUNT)
_SHOWN: Final = 50
"""Permissions of a set."""
_LONGEST: Final = 300
"""Characters of a line that the author of a set writes. What a client asks for is shown whole."""
_FIXED: Final = {
    ATPROTO: (_IDENTITY, "Learn your handle and that the account is yours", ""),
    TRANSITION_GENERIC: (
        _CONTENT,
        "Publish, change and delete anything in your name, and use services for you",
        "All but private messages, your e-mail address and the account itself",
    ),
    TRANSITION_CHAT: (_SERVICES, "Read and send private messages", ""),
    TRANSITION_EMAIL: (_ACCOUNT, "Read your e-mail address", ""),
}
_PLAIN_TYPE: Final = "!#$&*/+.^-_"
"""What media types have besides letters and digits (RFC 6838, section 4.2)."""
_ACTION_WORDS: Final = {"create": "create", "update": "change", "delete": "delete"}
_ATTRIBUTES: Final = {
    "email": ("Read your e-mail address", "Read and change your e-mail address"),
    "repo": ("Read the state of your repository", "Replace all that you have published"),
    "status": (
        "Read whether your account is active",
        "Deactivate your account",
    ),
}


@dataclass(slots=True, frozen=True)
class Permission:
    """A line of the consent page."""

    scope: str
    text: str
    detail: str
    lists: tuple[str, ...]
    """What a permission set lists, in words."""
    required: bool
    """Whether the request makes no sense without."""
    is_new: bool
    """Whether the person has let this client in before, but not agreed to this."""


@dataclass(slots=True, frozen=True)
class PermissionGroup:
    """Permissions of one kind."""

    title: str
    permissions: tuple[Permission, ...]


def permissions_of(
    scopes: Iterable[str], agreed: frozenset[str], sets: Mapping[str, PermissionSet]
) -> list[PermissionGroup]:
    """Return what `scopes` permit, by kind.

    `agreed` are those from before, if any; `sets` has the permission sets that they include.
    """
    grouped: dict[str, list[Permission]] = {title: [] for title in _GROUPS}
    for text in scopes:
        scope = parse_scope(text)
        if scope is None:
            continue
        title, words, detail = _describe(scope)
        lists: tuple[str, ...] = ()
        if isinstance(scope, IncludeScope):
            found = sets[scope.nsid]
            title_of_set = on_one_line(found.title or "", _LONGEST)
            if title_of_set:
                # Whoever wrote the title may be whoever asks; the name says where it comes from.
                words = f"{title_of_set} ({scope.nsid})"
            detail = on_one_line(found.detail or "", _LONGEST)
            lists = _listed(scope, found)
        is_new = bool(agreed) and text not in agreed
        permission = Permission(text, words, detail, lists, text == ATPROTO, is_new)
        grouped[title].append(permission)
    return [PermissionGroup(title, tuple(each)) for title, each in grouped.items() if each]


def _listed(include: IncludeScope, found: PermissionSet) -> tuple[str, ...]:
    """Return what a set permits. Its title is its author's claim, this is not."""
    permitted = tuple(islice(include.permissions(found.permissions), _SHOWN + 1))
    words = [_cut(_describe(scope)[1]) for scope in permitted[:_SHOWN]]
    return (*words, "… and more") if len(permitted) > _SHOWN else tuple(words)


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}… and more"


def _describe(scope: Scope) -> tuple[str, str, str]:
    """Return the kind of a scope, what it permits, and a detail that may be empty."""
    match scope:
        case FixedScope(value):
            return _FIXED[value]
        case RepoScope():
            return _CONTENT, _repo_words(scope), ""
        case BlobScope():
            # Types are whatever the client writes; only what has no spaces and no sway is shown.
            kinds = ", ".join(quote(one, safe=_PLAIN_TYPE) for one in scope.types)
            return _CONTENT, f"Upload {'files of any kind' if kinds == '*/*' else kinds}", ""
        case RpcScope():
            methods = (
                "Use every method" if "*" in scope.methods else f"Use {', '.join(scope.methods)}"
            )
            where = "any service" if scope.aud == "*" else scope.aud
            return _SERVICES, f"{methods} of {where} in your name", ""
        case IncludeScope():
            return _SETS, scope.nsid, ""
        case AccountScope():
            read, manage = _ATTRIBUTES[scope.attribute]
            return _ACCOUNT, manage if "manage" in scope.actions else read, ""
        case IdentityScope():
            if scope.attribute == "handle":
                return _ACCOUNT, "Change your handle", ""
            return _ACCOUNT, "Change your identity: its keys, servers and handle", ""


def _repo_words(scope: RepoScope) -> str:
    verbs = [_ACTION_WORDS[action] for action in ACTIONS if action in scope.actions]
    what = "records of any kind" if "*" in scope.collections else ", ".join(scope.collections)
    words = verbs[0] if len(verbs) == 1 else f"{', '.join(verbs[:-1])} and {verbs[-1]}"
    return f"{words.capitalize()} {what}"
