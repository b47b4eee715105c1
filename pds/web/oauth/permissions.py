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
from pds.oauth.scopes.repo import RepoScope
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
from pds.translations.language import Language
from pds.translations.language import deferred as _
from pds.web.pages.strangers_texts import on_one_line

_IDENTITY: Final = _("Who you are")
_CONTENT: Final = _("What you publish")
_SERVICES: Final = _("Services in your name")
_ACCOUNT: Final = _("Your account")
_SETS: Final = _("Sets of permissions")
_GROUPS: Final = (_IDENTITY, _SETS, _CONTENT, _SERVICES, _ACCOUNT)
_SHOWN: Final = 50
"""Permissions of a set."""
_LONGEST: Final = 300
"""Characters of a line that the author of a set writes. What a client asks for is shown whole."""
_FIXED: Final = {
    ATPROTO: (_IDENTITY, _("Learn your handle and that the account is yours"), ""),
    TRANSITION_GENERIC: (
        _CONTENT,
        _("Publish, change and delete anything in your name, and use services for you"),
        _("All but private messages, your e-mail address and the account itself"),
    ),
    TRANSITION_CHAT: (_SERVICES, _("Read and send private messages"), ""),
    TRANSITION_EMAIL: (_ACCOUNT, _("Read your e-mail address"), ""),
}
_PLAIN_TYPE: Final = "!#$&*/+.^-_"
"""What media types have besides letters and digits (RFC 6838, section 4.2)."""
_RECORDS: Final = {
    ("create",): (_("Create records of any kind"), _("Create %(kinds)s")),
    ("update",): (_("Change records of any kind"), _("Change %(kinds)s")),
    ("delete",): (_("Delete records of any kind"), _("Delete %(kinds)s")),
    ("create", "update"): (
        _("Create and change records of any kind"),
        _("Create and change %(kinds)s"),
    ),
    ("create", "delete"): (
        _("Create and delete records of any kind"),
        _("Create and delete %(kinds)s"),
    ),
    ("update", "delete"): (
        _("Change and delete records of any kind"),
        _("Change and delete %(kinds)s"),
    ),
    ("create", "update", "delete"): (
        _("Create, change and delete records of any kind"),
        _("Create, change and delete %(kinds)s"),
    ),
}
"""What actions on records of all kinds, and of some, are in words."""
_METHODS: Final = {
    (True, True): _("Use every method of any service in your name"),
    (True, False): _("Use every method of %(service)s in your name"),
    (False, True): _("Use %(methods)s of any service in your name"),
    (False, False): _("Use %(methods)s of %(service)s in your name"),
}
"""By whether all methods may be used, and whether those of all services."""
_ATTRIBUTES: Final = {
    "email": (_("Read your e-mail address"), _("Read and change your e-mail address")),
    "repo": (_("Read the state of your repository"), _("Replace all that you have published")),
    "status": (_("Read whether your account is active"), _("Deactivate your account")),
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
    scopes: Iterable[str],
    agreed: frozenset[str],
    sets: Mapping[str, PermissionSet],
    language: Language,
) -> list[PermissionGroup]:
    """Return what `scopes` permit, by kind, in words of `language`.

    `agreed` are those from before, if any; `sets` has the permission sets that they include.
    """
    words = _Words(language)
    grouped: dict[str, list[Permission]] = {title: [] for title in _GROUPS}
    for text in scopes:
        scope = parse_scope(text)
        if scope is None:
            continue
        title, line, detail = words.describe(scope)
        lists: tuple[str, ...] = ()
        if isinstance(scope, IncludeScope):
            found = sets[scope.nsid]
            title_of_set = on_one_line(found.title or "", _LONGEST)
            if title_of_set:
                # Whoever wrote the title may be whoever asks; the name says where it comes from.
                line = f"{title_of_set} ({scope.nsid})"
            detail = on_one_line(found.detail or "", _LONGEST)
            lists = words.listed(scope, found)
        is_new = bool(agreed) and text not in agreed
        permission = Permission(text, line, detail, lists, text == ATPROTO, is_new)
        grouped[title].append(permission)
    return [
        PermissionGroup(language.gettext(title), tuple(each))
        for title, each in grouped.items()
        if each
    ]


class _Words:
    """Says in one language what scopes permit."""

    def __init__(self, language: Language) -> None:
        self._say = language.gettext

    def listed(self, include: IncludeScope, found: PermissionSet) -> tuple[str, ...]:
        """Return what a set permits. Its title is its author's claim, this is not."""
        permitted = tuple(islice(include.permissions(found.permissions), _SHOWN + 1))
        words = [self._cut(self.describe(scope)[1]) for scope in permitted[:_SHOWN]]
        more = (self._say(_("… and more")),) if len(permitted) > _SHOWN else ()
        return (*words, *more)

    def describe(self, scope: Scope) -> tuple[str, str, str]:
        """Return the kind of a scope in English, what it permits, and a detail if there is one."""
        match scope:
            case FixedScope(value):
                title, line, detail = _FIXED[value]
                return title, self._say(line), self._say(detail) if detail else ""
            case RepoScope():
                return _CONTENT, self._records(scope), ""
            case BlobScope():
                return _CONTENT, self._files(scope), ""
            case RpcScope():
                return _SERVICES, self._methods(scope), ""
            case IncludeScope():
                return _SETS, scope.nsid, ""
            case AccountScope():
                read, manage = _ATTRIBUTES[scope.attribute]
                return _ACCOUNT, self._say(manage if "manage" in scope.actions else read), ""
            case IdentityScope():
                if scope.attribute == "handle":
                    return _ACCOUNT, self._say(_("Change your handle")), ""
                all_of_it = _("Change your identity: its keys, servers and handle")
                return _ACCOUNT, self._say(all_of_it), ""

    def _records(self, scope: RepoScope) -> str:
        of_any_kind, of_these = _RECORDS[scope.actions]
        if "*" in scope.collections:
            return self._say(of_any_kind)
        return self._say(of_these, kinds=", ".join(scope.collections))

    def _files(self, scope: BlobScope) -> str:
        # Types are whatever the client writes; only what has no spaces and no sway is shown.
        kinds = ", ".join(quote(one, safe=_PLAIN_TYPE) for one in scope.types)
        if kinds == "*/*":
            return self._say(_("Upload files of any kind"))
        return self._say(_("Upload %(kinds)s"), kinds=kinds)

    def _methods(self, scope: RpcScope) -> str:
        text = _METHODS["*" in scope.methods, scope.aud == "*"]
        return self._say(text, methods=", ".join(scope.methods), service=scope.aud)

    def _cut(self, words: str) -> str:
        if len(words) <= _LONGEST:
            return words
        return self._say(_("%(beginning)s… and more"), beginning=words[:_LONGEST])
