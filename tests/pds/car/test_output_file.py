"""Output files: whole or not there, and never in place of what was there before."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pds.car.output_file import output_file


class Interrupted(Exception):
    pass


def test_a_file_is_there_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    with output_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [b"old", None], ids=["over another", "for the first time"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "a.car"
    if before is not None:
        path.write_bytes(before)

    def write_half() -> None:
        with output_file(path) as file:
            file.write(b"half")
            raise Interrupted

    with pytest.raises(Interrupted):
        write_half()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if before is None else [before])


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "real.car"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link = tmp_path / "link.car"
    link.symlink_to(target)
    with output_file(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_named_pipe_is_written_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(path.read_bytes()))
    thread.start()
    with output_file(path) as file:
        file.write(b"new")
    thread.join()
    assert got == [b"new"]
    assert path.is_fifo()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as refused, output_file(tmp_path / "no" / "a.car"):
        pass
    assert str(tmp_path / "no") in str(refused.value.filename)
