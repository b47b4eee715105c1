"""`pds replicate verify`: sound replicas, and what it finds in others."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from database.opening import open_database
from pds.cli import main
from pds.config.env_file import read_env_file
from pds.replication.replica import names
from tests.pds.cli.conftest import OperatedServer, did_of
from tests.typed import Replica


def verify(server: OperatedServer, replica: Path, scratch: Path, *args: str) -> Result:
    env = {**read_env_file(server.server.env_file), "PDS_ENV_FILE": "/dev/null", "COLUMNS": "200"}
    words = ["replicate", "verify", "--from", f"file://{replica}", "--scratch", str(scratch)]
    return CliRunner().invoke(main, [*words, *args], env=env)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def changed(replica: Path, tmp_path: Path) -> Path:
    """A replica to change."""
    return shutil.copytree(replica, tmp_path / "changed")


def problems(done: Result) -> list[tuple[str, str]]:
    """The kind and the subject of everything that is wrong."""
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.exit_code, told["sound"]) == (1, False), done.output
    errors = [one for one in told["findings"] if one["status"] == "error"]
    lacking = told["restore"]["findings"]
    return [(one["check"], one["subject"]) for one in errors] + [
        (one["kind"], one["subject"]) for one in lacking
    ]


@pytest.mark.parametrize("words", [(), ("--sample", "5"), ("--all",)])
def test_a_sound_replica_is_told_so_and_nothing_is_left(
    stopped: OperatedServer, replica: Path, scratch: Path, words: tuple[str, ...]
) -> None:
    done = verify(stopped, replica, scratch, *words)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "Sound: 1 account restored, 1 compared with the live files." in done.stdout
    # The copy is gone, so nothing is to be done with it.
    assert (list(scratch.iterdir()), "Next:" in done.stdout) == ([], False)


def test_one_account_can_be_named(stopped: OperatedServer, replica: Path, scratch: Path) -> None:
    done = verify(stopped, replica, scratch, "--did", did_of(stopped), "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["sound"], told["accounts"]) == (0, True, 1)
    assert {one["status"] for one in told["findings"]} == {"ok"}


def test_a_blob_with_other_bytes_is_found(
    stopped: OperatedServer, changed: Path, scratch: Path
) -> None:
    (blob,) = (changed / names.BLOBS / did_of(stopped)).iterdir()
    blob.write_bytes(b"a forgery")
    found = problems(verify(stopped, changed, scratch, "--all", "--json"))
    assert {kind for kind, _ in found} == {"damaged blob", "missing blob", "blobs"}
    assert all(did_of(stopped) in subject for _, subject in found)
    assert list(scratch.iterdir()) == []


def test_a_missing_key_is_found(stopped: OperatedServer, changed: Path, scratch: Path) -> None:
    (changed / names.actor_key(did_of(stopped))).unlink()
    found = problems(verify(stopped, changed, scratch, "--all", "--json"))
    assert ("account without key", did_of(stopped)) in found


def test_an_account_without_a_database_is_found(
    stopped: OperatedServer, changed: Path, scratch: Path
) -> None:
    shutil.rmtree(changed / names.actor_database(did_of(stopped)))
    found = problems(verify(stopped, changed, scratch, "--all", "--json"))
    assert ("account without database", did_of(stopped)) in found


def test_a_store_that_does_not_hold_together_is_found(
    stopped: OperatedServer, scratch: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(stopped.server.data, tmp_path / "data")
    (store,) = data.glob("actors/*/*/store.sqlite")
    with closing(open_database(store)) as db:
        db.run("DELETE FROM record")
    Replica(data, tmp_path / "replica").send()
    (key,) = data.glob("actors/*/*/key")
    shutil.copy(key, tmp_path / "replica" / names.actor_key(did_of(stopped)))
    found = problems(verify(stopped, tmp_path / "replica", scratch, "--all", "--json"))
    assert any(check == "record index" for check, _ in found)


def test_options_that_contradict_each_other_are_a_usage_error(
    stopped: OperatedServer, replica: Path, scratch: Path
) -> None:
    assert verify(stopped, replica, scratch, "--all", "--sample", "3").exit_code == 2


def test_without_a_replica_there_is_nothing_to_verify(stopped: OperatedServer) -> None:
    env = {**read_env_file(stopped.server.env_file), "PDS_ENV_FILE": "/dev/null"}
    done = CliRunner().invoke(main, ["replicate", "verify"], env=env)
    assert (
        done.exit_code,
        "There is no replica to verify: PDS_REPLICATION_URL is not set." in done.stderr,
    ) == (1, True)
