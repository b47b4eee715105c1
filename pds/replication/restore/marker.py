"""`restore.json` in a data directory: a restore to it has begun and is not complete.

The same command goes on with it. No server starts on a directory that has one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from database.files import sync
from pds.replication.errors import ReplicationError
from pds.replication.replica.machine import boot_id
from pds.replication.restore.options import RestoreOptions

MARKER: Final = "restore.json"
NOTES: Final = "restore-notes.jsonl"
UNFINISHED: Final = f".{MARKER}.restoring"
"""The marker before it is whole; always of one name, so that the next run knows it for its own."""
_FORMAT: Final = 1
_MOST_BYTES: Final = 64 * 1024 * 1024
"""Some 100,000 DIDs, several times over."""


class OtherRestore(ReplicationError):
    """The directory has an interrupted restore from elsewhere, or with other options."""


@dataclass(slots=True)
class Marker:
    """The marker of one restore."""

    path: Path
    contents: dict[str, Any]
    trusts_files: bool = False
    """Whether files that are there are whole: they come from an interrupted run of this restore,
    and the machine, which writes them to disk eventually, has not been restarted since."""

    @classmethod
    def find(cls, directory: Path) -> Marker | None:
        """Return the marker in a directory. Raises `OtherRestore` if it is not readable."""
        path = directory / MARKER
        try:
            with path.open("rb") as file:
                contents = orjson.loads(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as exc:
            raise OtherRestore(f"{path} is unreadable: {exc}. {_start_anew(directory)}") from exc
        if not isinstance(contents, dict):
            raise OtherRestore(f"{path} is no marker of a restore. {_start_anew(directory)}")
        booted = boot_id()
        return cls(path, contents, booted is not None and contents.get("bootId") == booted)

    @classmethod
    def write(cls, directory: Path, source: str, options: RestoreOptions) -> Marker:
        """Write the marker of a restore that begins."""
        contents = {
            "format": _FORMAT,
            "source": source,
            "options": options.to_json(),
            "startedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        marker = cls(directory / MARKER, contents)
        marker.renew()
        return marker

    @property
    def source(self) -> str:
        """The URL of the replica, without secrets."""
        return str(self.contents.get("source", "?"))

    def check_same(self, source: str, options: RestoreOptions) -> None:
        """Raise `OtherRestore` unless this is the same restore."""
        mine = {"format": _FORMAT, "source": source, "options": options.to_json()}
        if any(self.contents.get(name) != value for name, value in mine.items()):
            raise OtherRestore(
                f"{self.path.parent} has an interrupted restore from {self.source}, of "
                f"{self.contents.get('startedAt', 'an unknown time')}, with other options. Give "
                f"the same ones to go on with it. {_start_anew(self.path.parent)}"
            )

    def renew(self) -> None:
        """Note that from now on, files are those of this start of the machine."""
        self.contents["bootId"] = boot_id()
        part = self.path.with_name(UNFINISHED)
        part.touch(mode=0o600)
        with part.open("wb") as file:
            file.write(orjson.dumps(self.contents, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)
        sync(self.path.parent)

    def remove(self) -> None:
        """Say that the restore is complete. Everything else must be on disk."""
        for name in (NOTES, UNFINISHED):
            (self.path.parent / name).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        sync(self.path.parent)


def refuse_unfinished(directory: Path) -> None:
    """Raise `OtherRestore` if a directory is not wholly restored, so that no server starts on it.

    It would make new, empty databases in the place of those that are not there yet.
    """
    marker = Marker.find(directory)
    if marker is not None:
        raise OtherRestore(
            f"{directory} is not wholly restored from {marker.source}. Run the same "
            "`pds restore` again, which goes on where it was interrupted."
        )


def _start_anew(directory: Path) -> str:
    return f"To start anew, empty {directory}."
