"""The paths that a restore writes to.

Files appear under their names whole: they are written beside them first, as `.<name>.restoring`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actor_store.layout import ActorLayout
from pds.config.hold.secrets_file import HOLD_ENV
from pds.disk.data_directory import LOCK_FILE
from pds.replication.errors import ReplicationError
from pds.replication.restore.marker import MARKER, NOTES, UNFINISHED

if TYPE_CHECKING:
    from pds.config import Settings

ACCOUNT: Final = "account.sqlite"
SEQUENCER: Final = "sequencer.sqlite"
DID_CACHE: Final = "did_cache.sqlite"
HOLD: Final = "hold.sqlite"
LEDGER: Final = "replication.sqlite"
_BLOBS: Final = "blocks"
_OWN: Final = frozenset((LOCK_FILE, MARKER, NOTES, UNFINISHED))
_HARMLESS: Final = frozenset(("lost+found",))
_LOCATIONS: Final = (
    "PDS_ACCOUNT_DB_LOCATION",
    "PDS_SEQUENCER_DB_LOCATION",
    "PDS_DID_CACHE_DB_LOCATION",
    "PDS_ACTOR_STORE_DIRECTORY",
    "PDS_BLOBSTORE_DISK_TMP_LOCATION",
)
_EXAMPLES: Final = 3


class TargetNotEmpty(ReplicationError):
    """The directory to restore to has files that a restore could damage."""


@dataclass(slots=True, frozen=True)
class RestoreTarget:
    """Where each part of a server goes."""

    directory: Path
    """The data directory, which is locked while it is restored."""
    services: Mapping[str, Path]
    """The databases of the server, by their names in the replica, in the order of restoring."""
    actors: Path
    """The directory of all accounts' databases and keys."""
    blobs: Path | None
    """The directory of blobs; None if they are elsewhere."""

    @classmethod
    def within(cls, directory: Path, *, blobs: bool = True) -> RestoreTarget:
        """Return the usual places below one directory; blobs go to `blocks`, if at all."""
        names = (ACCOUNT, SEQUENCER, DID_CACHE, HOLD, LEDGER)
        return cls(
            directory,
            {name: directory / name for name in names},
            directory / "actors",
            directory / _BLOBS if blobs else None,
        )

    @classmethod
    def of_settings(cls, settings: Settings) -> RestoreTarget:
        """Return the places that a server with these settings uses."""
        return cls(
            settings.data_directory,
            {
                ACCOUNT: settings.account_db_path,
                SEQUENCER: settings.sequencer_db_path,
                DID_CACHE: settings.did_cache_db_path,
                HOLD: settings.hold_db_path,
                LEDGER: settings.data_directory / LEDGER,
            },
            settings.actors_directory,
            settings.blob_directory,
        )

    @property
    def layout(self) -> ActorLayout:
        """The paths of accounts."""
        return ActorLayout(self.actors)

    @property
    def hold_env(self) -> Path:
        """The secrets of a server that is only a hold."""
        return self.directory / HOLD_ENV

    def check_empty(self) -> None:
        """Raise `TargetNotEmpty` if there is anything in the way."""
        found = sorted(self._obstacles())
        if found:
            rest = f" and {len(found) - _EXAMPLES} more" if len(found) > _EXAMPLES else ""
            raise TargetNotEmpty(
                f"There is something already: {', '.join(map(str, found[:_EXAMPLES]))}{rest}. "
                "Restore to an empty directory, or move what is there to another place first."
            )

    def _obstacles(self) -> Iterator[Path]:
        for directory in filter(None, (self.directory, self.actors, self.blobs)):
            if directory.is_dir():
                with os.scandir(directory) as entries:
                    yield from (Path(entry.path) for entry in entries if not _is_harmless(entry))
            elif directory.exists():
                yield directory
        inside = (self.directory, self.actors)
        yield from (
            path for path in self.services.values() if path.parent not in inside and path.exists()
        )


def part_of(path: Path) -> Path:
    """Return the name under which a file is written before it is whole."""
    return path.with_name(f".{path.name}.restoring")


def scratch_environ(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return variables like `environ` for a server, or `pds doctor`, whose data are in `directory`.

    Databases lie as `RestoreTarget.within` puts them, and so do blobs if they are on disk.
    """
    changed = {name: text for name, text in environ.items() if name not in _LOCATIONS}
    changed["PDS_DATA_DIRECTORY"] = str(directory)
    if changed.get("PDS_BLOBSTORE_DISK_LOCATION"):
        changed["PDS_BLOBSTORE_DISK_LOCATION"] = str(directory / _BLOBS)
    return changed


def _is_harmless(entry: os.DirEntry[str]) -> bool:
    # Operators keep the settings of a server beside its data.
    is_settings = entry.name.endswith(".env") and entry.name != HOLD_ENV
    return entry.name in _OWN or entry.name in _HARMLESS or is_settings
