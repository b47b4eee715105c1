"""A disk whose syncs of WALs end when a test says so, or fail."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest


class Disk:
    """Stands in for `os.fdatasync`. Files are named by a part of their path."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        """Syncs by the name of the database, without its ending."""
        self.failing: str | None = None
        """The file whose syncs fail."""
        self._gates: dict[str, threading.Event] = {}

    def hold(self, part: str) -> Callable[[], None]:
        """Let no sync of a file end before the returned function is called."""
        gate = self._gates[part] = threading.Event()

        def let_go() -> None:
            self._gates.pop(part, None)
            gate.set()

        return let_go

    def sync(self, descriptor: int) -> None:
        """Instead of `os.fdatasync`."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.begun[path.name.partition(".")[0]] += 1
        for part, gate in list(self._gates.items()):
            if part in str(path):
                assert gate.wait(20)
        if self.failing is not None and self.failing in str(path):
            raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk of a test."""
    disk = Disk()
    monkeypatch.setattr(os, "fdatasync", disk.sync)
    return disk
