"""Who may do what on a hold. Source: the permission matrix of the ATCR hold protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum


class Permission(StrEnum):
    """A permission in a crew record."""

    READ = "blob:read"
    WRITE = "blob:write"
    ADMIN = "crew:admin"

    @classmethod
    def among(cls, names: Iterable[object]) -> frozenset[Permission]:
        """Return the permissions among `names`; unknown ones are ignored."""
        return frozenset(each for each in cls if each.value in names)

    @classmethod
    def names_of(cls, permissions: Collection[Permission]) -> list[str]:
        """Return the names of permissions, each once and in the order of the protocol."""
        return [each.value for each in cls if each in permissions]

    @property
    def needed(self) -> str:
        """What a member must have for it, in the words of the protocol."""
        return "blob:read or blob:write" if self is Permission.READ else self.value


class AccessDenied(Exception):
    """The caller lacks the permission. The message has the form that the protocol fixes."""

    def __init__(self, permission: Permission, reason: str) -> None:
        super().__init__(
            f"access denied for {permission}: {reason} (required: {permission.needed})"
        )


class NotCrew(AccessDenied):
    """The caller is neither the captain nor a member of the crew."""

    def __init__(self, permission: Permission) -> None:
        super().__init__(permission, "user is not a crew member")


class PermissionLacking(AccessDenied):
    """The caller's crew record does not give the permission."""

    def __init__(self, permission: Permission) -> None:
        super().__init__(permission, "crew member lacks permission")


def grants(permissions: frozenset[Permission], wanted: Permission) -> bool:
    """Whether a member with `permissions` has `wanted`: writing includes reading, admin both."""
    if Permission.ADMIN in permissions:
        return True
    if wanted is Permission.READ:
        return bool(permissions & {Permission.READ, Permission.WRITE})
    return wanted in permissions


def check(
    wanted: Permission, *, is_captain: bool, permissions: frozenset[Permission] | None
) -> None:
    """Raise `AccessDenied` unless the caller may do it; `permissions` is None for a non-member.

    Reading from a public hold is allowed to everybody and not checked here.
    """
    if is_captain:
        return
    if permissions is None:
        raise NotCrew(wanted)
    if not grants(permissions, wanted):
        raise PermissionLacking(wanted)
