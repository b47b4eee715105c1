"""The differences between the records of two CARs of a repository."""

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
    """A record that is not the same in both."""

    key: str
    old: Cid | None
    """None for a record that was created."""
    new: Cid | None
    """None for a record that was deleted."""

    @property
    def action(self) -> Action:
        """What happened to the record."""
        if self.old is None:
            return "create"
        return "delete" if self.new is None else "update"

    def to_json(self) -> dict[str, str]:
        """Return the JSON form, without absent CIDs."""
        cids = {"old": self.old, "new": self.new}
        collection, _, rkey = self.key.partition("/")
        return {
            "action": self.action,
            "collection": collection,
            "rkey": rkey,
            **{name: str(cid) for name, cid in cids.items() if cid is not None},
        }


def iter_differences(old: RepoFile, new: RepoFile) -> Iterator[Difference]:
    """Yield the records that differ, by key. Subtrees that both have are not read.

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
