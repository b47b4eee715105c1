"""`pds serve` takes over a stopped reference's directory, and leaves it as it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ServerProcess, free_port, run_pds, serve
from tests.reference import data

Tables = dict[str, Any]

OWN_FILES = {"holdfast.lock", "holdfast.reserve", "holdfast.run", "oauth_replay.sqlite"}
OWN_PREFIX = "holdfast_"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that the reference stopped in order, with all that may lie in one."""
    directory = data.unpack(tmp_path / "data")
    alice = next(directory.glob(f"actors/*/{did_of('alice')}"))
    (alice / "did-op").write_bytes(b"an operation kept for later")
    reserved = directory / "actors" / "reserved_keys"
    reserved.mkdir()
    (reserved / "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").write_bytes(bytes(range(32)))
    (reserved / "did:key:zQ3shZ1C8fVZUVznwgFcAh8dBjj9dMKAgih3wqZHujrHFYJXb").write_bytes(b"k" * 32)
    upload = directory / "blobs" / "tempt" / did_of("alice") / ("a" * 52)
    upload.write_bytes(b"an upload that no record has named yet")
    quarantined = directory / "blobs" / "quarantine" / did_of("alice") / "bafkreiq"
    quarantined.parent.mkdir(parents=True)
    quarantined.write_bytes(b"a blob that is taken down")
    return directory


def did_of(name: str) -> str:
    return str(data.manifest()["accounts"][name]["did"])


@contextmanager
def serving(directory: Path, **env: str) -> Iterator[ServerProcess]:
    """A server on `directory` that is stopped in good order."""
    server = serve(
        data.environment(directory) | {"PDS_DID_PLC_URL": "http://localhost:1"} | env,
        port=free_port(),
        log_file=directory.parent / "serve.log",
        cwd=directory.parent,
    )
    try:
        yield server
        assert server.stop() == 0, server.log()
        assert "Traceback" not in server.log()
    finally:
        server.kill()


def get(server: ServerProcess, nsid: str, **params: str) -> bytes:
    query = urllib.parse.urlencode(params)
    url = f"{server.url}/xrpc/com.atproto.{nsid}?{query}"
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 (loopback)
        body: bytes = response.read()
    return body


def contents(directory: Path) -> dict[str, Tables | bytes]:
    """Every file but our own: schema and rows of a database, the bytes of any other."""
    return {
        str(path.relative_to(directory)): tables(path) if is_database(path) else path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name not in OWN_FILES
    }


def is_database(path: Path) -> bool:
    return path.suffix == ".sqlite"


def tables(path: Path) -> Tables:
    """What the reference sees of a database: the schema, and the rows of every table."""
    with closing(sqlite3.connect(path)) as db:
        schema = db.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
            f" WHERE tbl_name NOT LIKE '{OWN_PREFIX}%' ORDER BY rowid"
        ).fetchall()
        names = [name for kind, name, _, _ in schema if kind == "table"]
        rows = {
            name: db.execute(f'SELECT * FROM "{name}" ORDER BY rowid').fetchall() for name in names
        }
    return {"schema": schema, **rows}


def test_a_start_and_a_stop_change_nothing(directory: Path) -> None:
    before = contents(directory)
    with serving(directory):
        pass
    assert contents(directory) == before


def test_reading_changes_nothing(directory: Path) -> None:
    before = contents(directory)
    with serving(directory) as server:
        for name in data.ACTIVE:
            did = did_of(name)
            assert get(server, "sync.getRepo", did=did) == (data.CARS / f"{name}.car").read_bytes()
            get(server, "repo.describeRepo", repo=did)
            get(server, "repo.listRecords", repo=did, collection="app.bsky.feed.post")
            get(server, "sync.listBlobs", did=did)
    assert contents(directory) == before


def test_tables_of_our_own_are_named_so(directory: Path) -> None:
    with serving(directory):
        pass
    added = table_names(directory) - table_names(data.unpack(directory.parent / "untouched"))
    assert {name.startswith(OWN_PREFIX) for name in added} == {True}


def table_names(directory: Path) -> set[str]:
    found: set[str] = set()
    for path in directory.rglob("*.sqlite"):
        with closing(sqlite3.connect(path)) as db:
            found |= {name for (name,) in db.execute("SELECT tbl_name FROM sqlite_master")}
    return found


def test_what_a_crash_left_in_the_logs_of_sqlite_is_there(directory: Path) -> None:
    did = did_of("bob")
    (store,) = directory.glob(f"actors/*/{did}/store.sqlite")
    leave_in_wal(
        store,
        "INSERT INTO account_pref (name, valueJson) VALUES (?, ?)",
        ("app.bsky.actor.defs#x", '{"$type":"app.bsky.actor.defs#x","after":"the crash"}'),
    )
    leave_in_wal(
        directory / "account.sqlite", "UPDATE actor SET handle = ? WHERE did = ?", ("rob.test", did)
    )
    with serving(directory) as server:
        assert json.loads(get(server, "repo.describeRepo", repo=did))["handle"] == "rob.test"
        session = post(server, "server.createSession", identifier=did, password="bob-pass")
        preferences = urllib.request.Request(  # noqa: S310 (loopback)
            f"{server.url}/xrpc/app.bsky.actor.getPreferences",
            headers={"Authorization": f"Bearer {session['accessJwt']}"},
        )
        with urllib.request.urlopen(preferences, timeout=10) as response:  # noqa: S310
            assert json.load(response)["preferences"][0]["after"] == "the crash"


def leave_in_wal(path: Path, sql: str, params: tuple[str, ...]) -> None:
    """Leave a file as a process does that is killed after a commit: the change is in the WAL."""
    copy = path.with_suffix(".crashed")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        with db:
            db.execute(sql, params)
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    copy.replace(path)
    Path(f"{copy}-wal").replace(f"{path}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)


def post(server: ServerProcess, nsid: str, **body: str) -> Any:
    request = urllib.request.Request(  # noqa: S310 (loopback)
        f"{server.url}/xrpc/com.atproto.{nsid}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)


def test_relative_locations_and_an_environment_file_work(directory: Path) -> None:
    before = contents(directory)
    env = data.environment(Path("data")) | {"PDS_DID_PLC_URL": "http://localhost:1"}
    env_file = directory.parent / "pds.env"
    env_file.write_text("".join(f'{name}="{value}"\n' for name, value in env.items()))
    server = serve(
        {},
        "--env-file",
        "pds.env",
        port=free_port(),
        log_file=directory.parent / "serve.log",
        cwd=directory.parent,
    )
    try:
        car = get(server, "sync.getRepo", did=did_of("alice"))
        assert car == (data.CARS / "alice.car").read_bytes()
        assert server.stop() == 0
    finally:
        server.kill()
    assert contents(directory) == before


def test_settings_without_effect_are_told_in_one_line(directory: Path) -> None:
    http2, used = "PDS_PROXY_ALLOW_HTTP2", "PDS_SUPPORT_URL"
    with serving(directory, **{http2: "true", used: "https://help.example"}) as server:
        pass
    lines = [line for line in server.log().splitlines() if http2 in line or used in line]
    (line,) = lines
    assert json.loads(line)["variables"] == [http2]


def test_a_server_with_a_secret_that_can_be_guessed_starts_and_tells(directory: Path) -> None:
    with serving(directory, PDS_JWT_SECRET="a") as server:
        pass
    lines = [json.loads(line) for line in server.log().splitlines() if "PDS_JWT_SECRET" in line]
    (line,) = lines
    assert (line["level"], line["event"]) == ("warning", "a secret is weak")
    assert "openssl rand --hex 16" in line["remedy"]


def lines_of(server: ServerProcess, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.log().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_ready_tells_which_directory_is_served_and_what_is_in_it(directory: Path) -> None:
    with serving(directory) as server:
        pass
    (line,) = lines_of(server, "ready")
    assert (line["data_directory"], line["accounts"], line["blobs"]) == (str(directory), 6, 2 + 1)


def test_a_variable_that_is_no_setting_is_told_at_the_start(directory: Path) -> None:
    with serving(directory, PDS_HOST_NAME="pds.example.com") as server:
        pass
    (line,) = lines_of(server, "a variable is not a setting")
    assert line["level"] == "warning"
    assert line["what"].startswith("PDS_HOST_NAME")
    assert line["remedy"].startswith("did you mean PDS_HOSTNAME?")


def test_a_value_that_cannot_be_read_is_refused_before_anything_is_touched(
    directory: Path,
) -> None:
    before = contents(directory)
    done = run_pds("serve", env=data.environment(directory) | {"PDS_INVITE_REQUIRED": "no"})
    assert done.returncode == 1
    assert 'PDS_INVITE_REQUIRED is "no": set true or false' in done.stderr
    assert contents(directory) == before
