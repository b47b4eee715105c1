"""Which actor stores there are, and which of them have been written to of late."""

from __future__ import annotations

import math
import os
from collections.abc import Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from database.wal import wal_path

if TYPE_CHECKING:
    from actor_store.layout import ActorLayout


@dataclass(slots=True)
class StoreFiles:
    """When the files of each actor that has a store have changed last, in Unix seconds."""

    changed_at_s: dict[str, float] = field(default_factory=dict)

    @property
    def present(self) -> Set[str]:
        """The DIDs that have a store."""
        return self.changed_at_s.keys()

    def changed_since(self, time_s: float) -> set[str]:
        """The DIDs whose files have changed since a time in Unix seconds."""
        return {did for did, at_s in self.changed_at_s.items() if at_s >= time_s}


def find_stores(layout: ActorLayout) -> StoreFiles:
    """Look at the files of every actor.

    Two `stat` calls an actor, some 40 microseconds: to be called in a thread.
    """
    found = StoreFiles()
    for did in layout.iter_dids():
        store = layout.store(did)
        found.changed_at_s[did] = max(_changed_at_s(store), _changed_at_s(wal_path(store)))
    return found


def _changed_at_s(path: os.PathLike[str]) -> float:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 (half the time of `Path.stat`)
    except FileNotFoundError:
        return 0.0
    except PermissionError:
        return math.inf  # Whatever it is, it needs a look.
