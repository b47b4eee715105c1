"""A file in which a process says each second how it is: JSON that it replaces.

It is not synced to disk: a file that a crash has cut off is as good as none.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from pydantic import ConfigDict, TypeAdapter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

FRESH_S: Final = 15.0
"""A status older than this is that of a process that hangs or is gone."""
MAX_BYTES: Final = 256 << 10


class Complete:
    """A dataclass of which a file has all fields that are known, and no others."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def replace_contents(path: Path, contents: DataclassInstance) -> None:
    """Replace the file. On failure, such as a full disk, the old one stays."""
    new = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        # Names of files, in errors, may be anything.
        new.write_text(json.dumps(asdict(contents), ensure_ascii=False), "utf-8", "replace")
        new.replace(path)


def read_contents(path: Path, reader: TypeAdapter[T]) -> T | None:
    """Return what the file has; None if there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return None if len(data) > MAX_BYTES else reader.validate_json(data, strict=True)
    except (OSError, ValueError):
        return None


def still_runs(pid: int, written_s: float) -> bool:
    """Whether a process that has not said that it ends still runs and writes."""
    # A time to come is one from before the clock was set back: it says as little as an old one.
    if abs(time.time() - written_s) > FRESH_S:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
