"""Which Litestream is taken, and which is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.replication.errors import LitestreamMissing
from pds.replication.litestream.program import find_program


def script(path: Path, text: str) -> Path:
    """A program that prints something."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_program_of_this_environment_is_found_without_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    program = find_program()
    assert program.path.is_file()
    assert program.version >= (0, 5, 17)
    assert str(program.path) in str(program)


@pytest.mark.parametrize("told", ["0.5.17", "v0.5.18", "0.5.20-rc1"])
def test_a_program_that_is_named_is_taken(tmp_path: Path, told: str) -> None:
    path = script(tmp_path / "ls", f"echo {told}")
    assert find_program(path).path == path


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("echo 0.3.13", "0.3.13"),
        ("echo v0.5.16", "too old"),
        ("echo 0.6.0", "newer"),
        ("echo '(development build)'", "does not tell a version"),
        ("echo 0.5.17; exit 3", "does not tell a version"),
        ("", "does not tell a version"),
    ],
)
def test_any_other_is_refused_with_what_to_install(tmp_path: Path, text: str, fault: str) -> None:
    path = script(tmp_path / "litestream", text)
    with pytest.raises(LitestreamMissing) as caught:
        find_program(path)
    assert fault in str(caught.value)
    assert str(path) in str(caught.value)
    assert "`pip install 'holdfast-pds[replication]'`" in str(caught.value)


def test_a_file_that_is_no_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "litestream"
    path.write_text("words")
    for named in (path, tmp_path / "none", tmp_path):
        with pytest.raises(LitestreamMissing, match="cannot be run"):
            find_program(named)


def test_without_any_program_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(LitestreamMissing, match="pip install"):
        find_program()
