"""The scope `repo:`: writing the records of some collections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pds.oauth.scopes.syntax import read_fields, write_scope
from pds.oauth.scopes.values import all_or_each, is_nsid_or_any

ACTIONS: Final = ("create", "update", "delete")


@dataclass(slots=True, frozen=True)
class RepoScope:
    """Leave to take some `actions` on the records of `collections`, or of all by `*`."""

    collections: tuple[str, ...]
    actions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> RepoScope | None:
        """Parse a scope; None if it is no valid scope of this kind."""
        fields = read_fields(text, "repo", "collection", "action")
        if fields is None:
            return None
        return cls.of(fields.get("collection", ()), fields.get("action", ACTIONS))

    @classmethod
    def of(cls, collections: Iterable[str], actions: Iterable[str] = ACTIONS) -> RepoScope | None:
        """Make a scope; None if a value is not valid, or there is none."""
        names, wanted = tuple(collections), tuple(actions)
        if not names or not wanted or not frozenset(wanted) <= frozenset(ACTIONS):
            return None
        if not all(map(is_nsid_or_any, names)):
            return None
        return cls(all_or_each(names), tuple(one for one in ACTIONS if one in wanted))

    def __str__(self) -> str:
        """The scope as text, in its shortest form."""
        actions = () if self.actions == ACTIONS else self.actions
        return write_scope("repo", ("collection", self.collections), ("action", actions))
