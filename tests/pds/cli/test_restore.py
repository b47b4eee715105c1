"""`pds restore`: what it restores, what it tells, and what it leaves alone."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pyrage
import pytest
from click.testing import CliRunner, Result

from database.opening import open_database
from pds.cli import main
from pds.config import Settings
from pds.config.env_file import read_env_file
from pds.replication.replica import names
from pds.replication.restore.patience import PatientReader
from tests.pds.cli.conftest import OperatedServer, did_of
from tests.processes import free_port, run_pds

NO_SETTINGS = {"PDS_ENV_FILE": "/dev/null"}


def restore(*args: str, env: dict[str, str] | None = None) -> Result:
    environ = {**(NO_SETTINGS if env is None else env), "COLUMNS": "120"}
    return CliRunner().invoke(main, ["restore", *args], env=environ, prog_name="pds")


def settings_of(server: OperatedServer, data: Path, plc_url: str) -> dict[str, str]:
    """The settings of a server, on another data directory."""
    moved = {
        "PDS_DATA_DIRECTORY": str(data),
        "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
        "PDS_DID_PLC_URL": plc_url,
    }
    return {**read_env_file(server.server.env_file), **moved, **NO_SETTINGS}


def records_in(data: Path, did: str) -> list[str]:
    (store,) = data.glob(f"actors/*/{did}/store.sqlite")
    with closing(open_database(store, read_only=True)) as db:
        return [uri for (uri,) in db.all("SELECT uri FROM record")]


def events_in(data: Path) -> list[str]:
    with closing(open_database(data / "sequencer.sqlite", read_only=True)) as db:
        return [kind for (kind,) in db.all("SELECT eventType FROM repo_seq ORDER BY seq")]


def test_everything_comes_back_and_the_databases_agree(
    stopped: OperatedServer, running: OperatedServer, replica: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    env = settings_of(stopped, data, running.plc_url)
    done = restore("--from", f"file://{replica}", "--to", str(data), env=env)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "The replica lacked nothing." in done.stdout
    assert "The databases agree with each other" in done.stdout
    assert stopped.furnished is not None
    assert records_in(data, did_of(stopped)) == [stopped.furnished.uri]
    (blob,) = (data / "blobs" / did_of(stopped)).iterdir()
    assert (blob.name, blob.read_bytes()) == (stopped.furnished.blob, b"a picture")
    (key,) = data.glob("actors/*/*/key")
    assert key.stat().st_mode & 0o077 == 0
    # Recovery has been here, as a first start is.
    assert (data / "holdfast.run").exists()
    listed = CliRunner().invoke(main, ["account", "list", "--json"], env=env)
    assert json.loads(listed.stdout)["did"] == did_of(stopped)


def test_the_report_comes_although_the_recovery_is_interrupted(
    stopped: OperatedServer, replica: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(_settings: Settings) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pds.cli.recovering._recover", interrupted)
    env = settings_of(stopped, tmp_path / "data", "http://localhost:1")
    done = restore("--from", f"file://{replica}", "--to", str(tmp_path / "data"), env=env)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "The replica lacked nothing." in done.stdout
    assert "Recovery was interrupted. The first start makes the databases agree." in done.stdout


def test_a_program_gets_the_report(replica: Path, tmp_path: Path) -> None:
    done = restore("--from", f"file://{replica}", "--to", str(tmp_path / "data"), "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (report["complete"], report["totals"]["databases"], report["totals"]["keys"]) == (
        True,
        1,
        1,
    )
    assert report["target"] == str(tmp_path / "data")


def test_without_settings_the_first_start_makes_the_databases_agree(
    replica: Path, tmp_path: Path
) -> None:
    done = restore("--from", f"file://{replica}", "--to", str(tmp_path / "data"))
    assert done.exit_code == 0, done.output
    assert "The first start makes the databases agree." in done.stdout
    assert not (tmp_path / "data" / "holdfast.run").exists()
    assert (tmp_path / "data" / "blocks").is_dir()


def test_what_the_replica_lacks_is_listed_and_stops_nothing(
    stopped: OperatedServer, replica: Path, tmp_path: Path
) -> None:
    shutil.copytree(replica, tmp_path / "replica")
    (tmp_path / "replica" / names.actor_key(did_of(stopped))).unlink()
    done = restore("--from", f"file://{tmp_path / 'replica'}", "--to", str(tmp_path / "data"))
    assert done.exit_code == 3
    assert "These accounts have no signing key in the replica (1):" in done.stdout
    assert did_of(stopped) in done.stdout
    assert records_in(tmp_path / "data", did_of(stopped))


def test_one_account_alone_brings_nothing_of_the_server(
    stopped: OperatedServer, replica: Path, tmp_path: Path
) -> None:
    data = tmp_path / "one"
    options = ("--to", str(data), "--did", did_of(stopped))
    done = restore("--from", f"file://{replica}", *options)
    assert done.exit_code == 0, done.output
    assert records_in(data, did_of(stopped))
    assert not (data / "account.sqlite").exists()
    assert not (data / "holdfast.run").exists()


def test_a_copy_beside_the_running_server_is_left_as_it_is(
    running: OperatedServer, replica: Path, tmp_path: Path
) -> None:
    env = {**read_env_file(running.server.env_file), **NO_SETTINGS}
    done = restore("--from", f"file://{replica}", "--to", str(tmp_path / "copy"), env=env)
    assert done.exit_code == 0, done.output
    assert f"The server on {running.server.data} runs" in done.stdout
    assert not (tmp_path / "copy" / "holdfast.run").exists()
    # Blobs went beside the copy, not to those of the server.
    assert any((tmp_path / "copy" / "blocks").iterdir())


def test_recovery_is_left_out_when_asked(
    stopped: OperatedServer, replica: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    env = settings_of(stopped, data, "http://localhost:1")
    words = ("--from", f"file://{replica}", "--to", str(data), "--no-recovery")
    done = restore(*words, env=env)
    assert (done.exit_code, (data / "holdfast.run").exists()) == (0, False), done.output
    assert "no server may start on this copy while the original runs" in done.stdout
    assert "start the server" not in done.stdout


def test_a_directory_with_something_in_it_is_refused_untouched(
    replica: Path, tmp_path: Path
) -> None:
    (tmp_path / "account.sqlite").write_text("mine")
    done = restore("--from", f"file://{replica}", "--to", str(tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: There is something already: ")
    assert [path.name for path in tmp_path.iterdir()] == ["account.sqlite"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--timestamp", "yesterday"), "write a time such as"),
        (("--timestamp", "2026-01-01T12:00:00"), "say in which time zone"),
        (("--timestamp", "2999-01-01T00:00:00Z"), "it is in the future"),
        (("--did", "alice.test"), "'alice.test' is not a DID"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = restore("--from", "file:///nowhere", "--to", str(tmp_path / "data"), *words)
    assert (done.exit_code, told in done.output) == (2, True), done.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "There is no replica to restore from: PDS_REPLICATION_URL is not set."),
        (("--from", "https://host/x"), "is no place for a replica"),
        (("--from", "file:///nowhere/at/all"), "/nowhere/at/all is missing"),
    ],
)
def test_without_a_replica_nothing_is_made(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = restore("--to", str(tmp_path / "data"), *words)
    assert (done.exit_code, done.stdout, told in done.stderr) == (1, "", True), done.output
    assert done.stderr.startswith("Error: ")
    assert not (tmp_path / "data").exists()


def test_a_bucket_that_cannot_be_reached_is_told_once(tmp_path: Path) -> None:
    credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    url = f"s3://backups/pds?endpoint=http://127.0.0.1:{free_port()}"
    words = ("restore", "--from", url, "--to", str(tmp_path / "data"))
    done = run_pds(*words, env=NO_SETTINGS | credentials)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("Error: The replica in the bucket backups at ")


def test_waiting_for_the_replica_is_told_beside_the_report(
    replica: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The place is away at first, and there at the second try."""
    place = tmp_path / "replica"

    async def come(_seconds: float) -> None:
        place.symlink_to(replica)

    defaults = PatientReader.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "pause", come)
    words = ("--from", f"file://{place}", "--to", str(tmp_path / "data"), "--without-keys")
    done = restore(*words, "--json")
    assert (done.exit_code, json.loads(done.stdout)["complete"]) == (0, True), done.output
    assert capfd.readouterr().err.count("the replica is away; trying again") == 1


def test_a_url_is_shown_as_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    url = f"file://{tmp_path / 'empty'}"
    done = restore("--from", url, "--to", str(tmp_path / "data"))
    assert (done.exit_code, url in done.stderr) == (1, True), done.stderr


def test_what_to_type_can_be_typed(tmp_path: Path) -> None:
    settings = tmp_path / "pds.env"
    settings.write_text("")
    done = restore("--to", str(tmp_path / "data"), "--env-file", str(settings))
    typed = f"Try: pds restore --from URL --to {tmp_path / 'data'} --env-file {settings}\n"
    assert (done.exit_code, done.stderr.endswith(typed)) == (1, True), done.stderr


def test_the_identity_of_another_recipient_is_refused_at_once(
    replica: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(replica, tmp_path / "replica")
    manifest = {"format": 1, "service_did": "did:web:localhost", "server_id": "x"}
    mine, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    sealed = {"sealing": "recipient", "recipient": str(mine.to_public())}
    (place / names.MANIFEST).write_text(json.dumps(manifest | sealed))
    (tmp_path / "other.txt").write_text(f"{other}\n")
    words = ("--to", str(tmp_path / "data"), "--identity", str(tmp_path / "other.txt"))
    done = restore("--from", f"file://{place}", *words)
    assert (done.exit_code, f"than that of {mine.to_public()}" in done.stderr) == (1, True)
    assert not (tmp_path / "data").exists()


def test_an_earlier_state_comes_back(
    stopped: OperatedServer, replica: Path, tmp_path: Path
) -> None:
    words = ("--from", f"file://{replica}", "--to", str(tmp_path / "data"))
    done = restore(*words, "--timestamp", "2001-01-01T00:00:00+01:00")
    # There was nothing yet.
    assert done.exit_code == 1
    assert "account.sqlite" in done.stderr


@pytest.fixture
def unfinished(replica: Path, tmp_path: Path) -> Path:
    """A directory whose restore was interrupted."""
    data = tmp_path / "data"
    assert restore("--from", f"file://{replica}", "--to", str(data)).exit_code == 0
    marker: dict[str, Any] = {
        "format": 1,
        "source": f"file://{replica}",
        "options": {"dids": None, "services": True, "keys": True, "blobs": True, "asOf": None},
    }
    (data / "restore.json").write_text(json.dumps(marker))
    return data


def test_an_interrupted_restore_goes_on(replica: Path, unfinished: Path) -> None:
    done = restore("--from", f"file://{replica}", "--to", str(unfinished))
    assert done.exit_code == 0, done.output
    assert not (unfinished / "restore.json").exists()


def test_no_server_and_no_command_works_on_an_unfinished_restore(
    stopped: OperatedServer, unfinished: Path
) -> None:
    env = {**settings_of(stopped, unfinished, "http://localhost:1"), "PDS_PORT": str(free_port())}
    for words in (["serve"], ["account", "deactivate", did_of(stopped)]):
        done = run_pds(*words, env=env)
        assert done.returncode == 1
        assert "is not wholly restored" in done.stderr
