"""Single scopes and lists of them: parsing, and the shortest form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pds.oauth.scopes.account import AccountScope
from pds.oauth.scopes.blob import BlobScope
from pds.oauth.scopes.identity import IdentityScope
from pds.oauth.scopes.include import IncludeScope
from pds.oauth.scopes.repo import RepoScope
from pds.oauth.scopes.rpc import RpcScope

ATPROTO: Final = "atproto"
"""The scope that every client asks for: to know the account's DID."""
TRANSITION_GENERIC: Final = "transition:generic"
TRANSITION_EMAIL: Final = "transition:email"
TRANSITION_CHAT: Final = "transition:chat.bsky"
FIXED: Final = (ATPROTO, TRANSITION_EMAIL, TRANSITION_GENERIC, TRANSITION_CHAT)
"""The scopes without fields, in the order in which the server's metadata lists them."""


@dataclass(slots=True, frozen=True)
class FixedScope:
    """One of `FIXED`."""

    value: str

    def __str__(self) -> str:
        """The scope as text."""
        return self.value


Scope: TypeAlias = (
    FixedScope | RepoScope | RpcScope | BlobScope | AccountScope | IdentityScope | IncludeScope
)

_PARSERS: Final[Mapping[str, Callable[[str], Scope | None]]] = {
    "repo": RepoScope.parse,
    "rpc": RpcScope.parse,
    "blob": BlobScope.parse,
    "account": AccountScope.parse,
    "identity": IdentityScope.parse,
    "include": IncludeScope.parse,
}


def parse_scope(text: str) -> Scope | None:
    """Parse one scope; None for one that this server does not know, or whose fields are wrong."""
    if text in FIXED:
        return FixedScope(text)
    parse = _PARSERS.get(text.partition("?")[0].partition(":")[0])
    return None if parse is None else parse(text)


def split_scopes(scope: str | None) -> tuple[str, ...]:
    """Return the scopes of a space-separated list, each once, in their order."""
    return tuple(dict.fromkeys(text for text in (scope or "").split(" ") if text))


def parse_scopes(scope: str | None) -> Iterable[Scope]:
    """Return the known scopes of a space-separated list, in their order."""
    return tuple(
        parsed for text in split_scopes(scope) if (parsed := parse_scope(text)) is not None
    )
