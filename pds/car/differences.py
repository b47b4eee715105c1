"""The differences between two CARs of a repository, by record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pds.car.repo_file import RepoFile
from repo.cid import Cid
from repo.commit import Action
from repo.mst import UncachedNodeStore
from repo.mst.diff import iter_differences as iter_tree_differences


@dataclass(slots=True, frozen=True)
class Difference:
    """A record that differs between the two."""

    key: str
    old: Cid | None
    """None for a created record."""
    new: Cid | None
    """None for a deleted record."""

    @property
    def action(self) -> Action:
        """The kind of change."""
        if self.old is None:
            return "create"
        return "delete" if self.new is None else "update"

    def to_json(self) -> dict[str, str]:
        """Return the JSON form; a CID that is None is omitted."""
        cids = {"old": self.old, "new": self.new}
        collection, _, rkey = self.key.partition("/")
        return {
            "action": self.action,
            "collection": collection,
            "rkey": rkey,
            **{name: str(cid) for name, cid in cids.items() if cid is not None},
        }


def iter_differences(old: RepoFile, new: RepoFile) -> Iterator[Difference]:
    """Yield the records that differ, by key. Shared subtrees are not read.

    Raises `MstError`.
    """
    differences = iter_tree_differences(
        UncachedNodeStore(old.blocks.get_block),
        old.commit.data.raw,
        UncachedNodeStore(new.blocks.get_block),
        new.commit.data.raw,
    )
    for key, before, after in differences:
        yield Difference(key, before, after)
