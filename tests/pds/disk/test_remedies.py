"""Commands for operators: what they name, and what they must never name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pds.disk.remedies import give_to_server, restore_database, restore_key
from tests.typed import type_commands


@pytest.mark.parametrize("path", ["/", "/etc", "/tmp", "/var"])  # noqa: S108
def test_a_directory_of_the_system_is_never_given_away(path: str) -> None:
    assert "`" not in give_to_server(path)


@pytest.mark.parametrize("path", ["/etc/hostname", "/tmp/nowhere/x.sqlite"])  # noqa: S108
def test_no_directory_is_given_away_for_a_file_in_it(path: str) -> None:
    assert "--recursive" not in give_to_server(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
def test_a_directory_that_is_missing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "it's new" / "data"
    type_commands(give_to_server(path))
    assert path.is_dir()


def test_commands_survive_the_json_of_a_log(tmp_path: Path) -> None:
    store = tmp_path / "actors" / "35" / "did:plc:x" / "store.sqlite"
    for remedy in (restore_database(store), restore_key(store.with_name("key"))):
        assert not {'"', "\\"} & set(remedy)
