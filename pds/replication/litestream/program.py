"""Finding the program Litestream: the wheel's in this environment, or the one in PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pds.replication.errors import LitestreamMissing

OLDEST: Final = (0, 5, 17)
"""The first with an SQLite that never corrupts a WAL which two processes use. Before 0.5.16, what
Litestream restored could have corrupt indexes; before 0.5.8 there was no control socket."""
BELOW: Final = (0, 6)
"""Litestream is before its version 1: the next minor version may change socket and files."""
_NAME: Final = "litestream"
_ANSWER_S: Final = 10.0
_VERSION: Final = re.compile(r"\bv?(\d{1,5})\.(\d{1,5})\.(\d{1,5})")
_REMEDY: Final = (
    f"Install Litestream {'.'.join(map(str, OLDEST))} or a later 0.5, such as with "
    "`pip install 'holdfast-pds[replication]'`."
)


@dataclass(slots=True, frozen=True)
class Program:
    """A Litestream program that this server can use."""

    path: Path
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"Litestream {_dotted(self.version)} ({self.path})"


def find_program(path: Path | None = None) -> Program:
    """Return the program at `path` or, without one, that of this environment or in PATH.

    Takes some milliseconds, because the program tells its version itself. Raises
    `LitestreamMissing`, which says what to install.
    """
    if path is None:
        found = _search()
        if found is None:
            raise LitestreamMissing(f"There is no program {_NAME!r}. {_REMEDY}")
        path = found
    version = _version_of(path)
    if not OLDEST <= version < BELOW:
        fault = "too old" if version < OLDEST else "newer than this server knows"
        raise LitestreamMissing(f"Litestream {_dotted(version)} ({path}) is {fault}. {_REMEDY}")
    return Program(path, version)


def _search() -> Path | None:
    # An interpreter in a virtual environment may be a link, so its place is not resolved.
    own = (str(Path(sys.executable).parent), sysconfig.get_path("scripts"))
    found = shutil.which(_NAME, path=os.pathsep.join(own)) or shutil.which(_NAME)
    return Path(found).absolute() if found else None


def _version_of(path: Path) -> tuple[int, int, int]:
    try:
        done = subprocess.run(  # noqa: S603 (the program that was asked for)
            [str(path), "version"],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except OSError as exc:
        raise LitestreamMissing(f"{path} cannot be run: {exc.strerror or exc}. {_REMEDY}") from exc
    except subprocess.TimeoutExpired as exc:
        raise LitestreamMissing(f"{path} does not tell its version in time. {_REMEDY}") from exc
    told = _VERSION.search(done.stdout[:200].decode(errors="replace"))
    if done.returncode or told is None:
        raise LitestreamMissing(f"{path} does not tell a version of Litestream. {_REMEDY}")
    major, minor, patch = map(int, told.groups())
    return major, minor, patch


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
