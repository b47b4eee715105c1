"""Removing an actor's directory while another program has files of its own in it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from actor_store.creation import remove_directory
from actor_store.layout import ActorLayout
from tests.actor_store.support import DID


@pytest.fixture
def directory(layout: ActorLayout) -> Path:
    directory = layout.directory(DID)
    (directory / ".store.sqlite-litestream" / "ltx").mkdir(parents=True)
    layout.store(DID).write_bytes(b"store")
    layout.key(DID).write_bytes(b"key")
    return directory


@pytest.mark.parametrize("number", [errno.ENOTEMPTY, errno.ENOENT])
def test_files_that_come_and_go_meanwhile_do_not_keep_the_directory(
    layout: ActorLayout, directory: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real, calls = shutil.rmtree, []

    def disturbed(path: Path, **more: Any) -> None:
        calls.append(path)
        if len(calls) == 1:
            layout.key(DID).unlink()
            raise OSError(number, os.strerror(number))
        real(path, **more)

    monkeypatch.setattr(shutil, "rmtree", disturbed)
    remove_directory(layout, DID)
    assert calls == [directory, directory]
    assert not directory.exists()


def test_other_failures_are_told(
    layout: ActorLayout, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(PermissionError):
        remove_directory(layout, DID)
    assert directory.exists()


def test_a_missing_directory_is_fine(layout: ActorLayout) -> None:
    remove_directory(layout, DID)
    assert not layout.directory(DID).exists()
