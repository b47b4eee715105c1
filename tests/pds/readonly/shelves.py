"""A `Library` within the process of the test, on the context of a full server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pds.context import AppContext
from pds.readonly.catalog import Catalog, Verification
from pds.readonly.library import Library


@dataclass(slots=True)
class Shelf:
    """A library, its catalog, and where its databases are made."""

    library: Library
    catalog: Catalog
    loading: Path

    def dids(self) -> list[str]:
        """The repositories that are served."""
        return [repo.did for repo in self.catalog.repos(limit=1000)]

    def problems(self) -> dict[str, str]:
        """Why files are not served, by their names."""
        return {car.file.path.name: car.problem or "" for car in self.catalog.problems(limit=1000)}


@contextmanager
def open_shelf(
    ctx: AppContext,
    directory: Path,
    places: Sequence[Path],
    *,
    verification: Verification = "offline",
    processes: int = 2,
) -> Iterator[Shelf]:
    """A library of the files at `places`, with its catalog in `directory`."""
    loading = directory / "loading"
    loading.mkdir(exist_ok=True)
    catalog = Catalog.open(directory / "catalog.sqlite")
    library = Library(
        ctx,
        catalog,
        places=[str(place) for place in places],
        directory=loading,
        verification=verification,
        handles={},
        processes=processes,
    )
    yield Shelf(library, catalog, loading)
    catalog.close()
