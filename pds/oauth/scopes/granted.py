"""What an access token allows: `GrantedScopes`, parsed once for each list of scopes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar

from cachetools import LRUCache, cached

from pds.oauth.scopes.account import AccountScope
from pds.oauth.scopes.blob import BlobScope
from pds.oauth.scopes.identity import IdentityScope
from pds.oauth.scopes.missing import ScopeMissing
from pds.oauth.scopes.repo import RepoScope
from pds.oauth.scopes.rpc import RpcScope
from pds.oauth.scopes.scope import (
    TRANSITION_CHAT,
    TRANSITION_EMAIL,
    TRANSITION_GENERIC,
    parse_scope,
    split_scopes,
)
from pds.oauth.scopes.values import ANY

_CACHED_CHARS: Final = 1_000_000
"""How much text of scopes is kept parsed: some 10 MB, or a few thousand usual clients."""
_PRIVATE_MESSAGES: Final = "chat.bsky."
_NONE: Final = frozenset[str]()

T = TypeVar("T")


def _collections_by_action(scopes: Iterable[RepoScope]) -> Mapping[str, AbstractSet[str]]:
    found: dict[str, set[str]] = {}
    for scope in scopes:
        for action in scope.actions:
            found.setdefault(action, set()).update(scope.collections)
    return found


def _of(kind: type[T], parsed: Iterable[object]) -> tuple[T, ...]:
    return tuple(scope for scope in parsed if isinstance(scope, kind))


class GrantedScopes:
    """The scopes of a token. An `include:` allows nothing here: its set has been put in before."""

    __slots__ = ("_accounts", "_blobs", "_identities", "_repo", "_rpcs", "size", "values")

    def __init__(self, scope: str | None) -> None:
        """`scope` is a space-separated list; what is not known in it allows nothing."""
        self.size = len(scope or "") + 1
        """For the cache, in characters."""
        self.values = frozenset(split_scopes(scope))
        """The scopes as they were granted."""
        parsed = [parse_scope(text) for text in self.values]
        self._repo = _collections_by_action(_of(RepoScope, parsed))
        self._rpcs = _of(RpcScope, parsed)
        self._blobs = _of(BlobScope, parsed)
        self._accounts = _of(AccountScope, parsed)
        self._identities = _of(IdentityScope, parsed)

    @staticmethod
    def of(scope: str | None) -> GrantedScopes:
        """Return the scopes of a space-separated list, from a cache."""
        return _parse(scope)

    def allows_repo(self, action: str, collection: str) -> bool:
        """Whether an `action` (create, update, delete) on records of `collection` is allowed."""
        if TRANSITION_GENERIC in self.values:
            return True
        # There may be thousands of collections, and one request may write to hundreds.
        collections = self._repo.get(action, _NONE)
        return collection in collections or ANY in collections

    def allows_rpc(self, lxm: str, aud: str) -> bool:
        """Whether the method `lxm`, or all by `*`, of the service `aud` may be called."""
        private = lxm.startswith(_PRIVATE_MESSAGES)
        if (TRANSITION_CHAT if private else TRANSITION_GENERIC) in self.values:
            return True
        return any(scope.allows(lxm, aud) for scope in self._rpcs)

    def allows_blob(self, media_type: str) -> bool:
        """Whether a blob of this media type may be uploaded."""
        if TRANSITION_GENERIC in self.values:
            return True
        return any(scope.allows(media_type) for scope in self._blobs)

    def allows_account(self, attribute: str, action: str) -> bool:
        """Whether an `action` (read, manage) on an attribute of the account is allowed."""
        if (attribute, action) == ("email", "read") and TRANSITION_EMAIL in self.values:
            return True
        return any(scope.allows(attribute, action) for scope in self._accounts)

    def allows_identity(self, attribute: str) -> bool:
        """Whether an attribute of the identity (handle, or `*` for all) may be changed."""
        return any(scope.allows(attribute) for scope in self._identities)

    def check_repo(self, action: str, collection: str) -> None:
        """Raise `ScopeMissing` unless `allows_repo`."""
        if not self.allows_repo(action, collection):
            raise ScopeMissing(str(RepoScope((collection,), (action,))))

    def check_rpc(self, lxm: str, aud: str) -> None:
        """Raise `ScopeMissing` unless `allows_rpc`."""
        if not self.allows_rpc(lxm, aud):
            raise ScopeMissing(str(RpcScope((lxm,), aud)))

    def check_blob(self, media_type: str) -> None:
        """Raise `ScopeMissing` unless `allows_blob`."""
        if not self.allows_blob(media_type):
            raise ScopeMissing(str(BlobScope((media_type,))))

    def check_account(self, attribute: str, action: str) -> None:
        """Raise `ScopeMissing` unless `allows_account`."""
        if not self.allows_account(attribute, action):
            raise ScopeMissing(str(AccountScope(attribute, (action,))))

    def check_identity(self, attribute: str) -> None:
        """Raise `ScopeMissing` unless `allows_identity`."""
        if not self.allows_identity(attribute):
            raise ScopeMissing(str(IdentityScope(attribute)))


@cached(LRUCache(maxsize=_CACHED_CHARS, getsizeof=lambda granted: granted.size))
def _parse(scope: str | None) -> GrantedScopes:
    return GrantedScopes(scope)
