"""The scope `include:`: the permissions that a published permission set lists.

Spec: https://atproto.com/specs/permission#permission-sets
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pds.oauth.scopes.repo import ACTIONS, RepoScope
from pds.oauth.scopes.rpc import RpcScope
from pds.oauth.scopes.syntax import read_fields, write_scope
from pds.oauth.scopes.values import ANY, is_nsid, is_service

Permission: TypeAlias = Mapping[str, Any]
"""One entry of a permission set, as its Lexicon has it."""


@dataclass(slots=True, frozen=True)
class IncludeScope:
    """Leave to do what the permission set `nsid` lists.

    `aud` is the service for the methods of which the set leaves that open.
    """

    nsid: str
    aud: str | None = None

    @classmethod
    def parse(cls, text: str) -> IncludeScope | None:
        """Parse a scope; None if it is no valid scope of this kind."""
        fields = read_fields(text, "include", "nsid", "aud")
        if fields is None or len(fields.get("nsid", ())) != 1:
            return None
        [nsid], services = fields["nsid"], fields.get("aud", ())
        if not is_nsid(nsid) or len(services) > 1 or not all(map(is_service, services)):
            return None
        return cls(nsid, services[0] if services else None)

    def permissions(self, listed: Iterable[Permission]) -> Iterator[RepoScope | RpcScope]:
        """Yield what the entries of the set allow, without those that a set may not give away.

        A set speaks for the NSIDs of its own group alone, such as `com.example.calendar.*`.
        """
        for permission in listed:
            match permission.get("resource"):
                case "repo":
                    scope: RepoScope | RpcScope | None = _repo(permission)
                    names = () if not isinstance(scope, RepoScope) else scope.collections
                case "rpc":
                    scope = _rpc(permission, self.aud)
                    names = () if not isinstance(scope, RpcScope) else scope.methods
                case _:
                    continue
            if scope is not None and all(map(self._speaks_for, names)):
                yield scope

    def _speaks_for(self, nsid: str) -> bool:
        return nsid.startswith(self.nsid[: self.nsid.rindex(".") + 1])

    def __str__(self) -> str:
        """The scope as text."""
        services = () if self.aud is None else (self.aud,)
        return write_scope("include", ("nsid", (self.nsid,)), ("aud", services))


def _repo(permission: Permission) -> RepoScope | None:
    if not permission.keys() <= {"type", "resource", "collection", "action"}:
        return None
    collections = _texts(permission.get("collection"))
    actions = _texts(permission.get("action", ACTIONS))
    if collections is None or actions is None:
        return None
    return RepoScope.of(collections, actions)


def _rpc(permission: Permission, aud_of_include: str | None) -> RpcScope | None:
    known, aud = {"type", "resource", "lxm", "aud"}, permission.get("aud")
    if aud is None and aud_of_include is not None and permission.get("inheritAud") is True:
        known, aud = known | {"inheritAud"}, aud_of_include
    elif aud != ANY:
        return None
    methods = _texts(permission.get("lxm"))
    if methods is None or not permission.keys() <= known:
        return None
    return RpcScope.of(methods, aud)


def _texts(values: Any) -> tuple[str, ...] | None:
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        return None
    return tuple(values)
