"""`pds doctor`: what it prints, and how it ends, with the server running and stopped."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from pds.cli.output import console
from tests.pds.cli.conftest import OperatedServer
from tests.processes import run_pds


def examine(
    server: OperatedServer, *args: str, data: Path | None = None, status: int = 0
) -> dict[str, Any]:
    """Run `pds doctor --json` to an end with `status`; return its object."""
    done = run_pds(
        "doctor", "--json", *args, "--env-file", str(server.server.env_file), env=moved(data)
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def moved(data: Path | None) -> dict[str, str]:
    """Variables for a copy of the data directory."""
    if data is None:
        return {}
    return {"PDS_DATA_DIRECTORY": str(data), "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs")}


def problems(report: dict[str, Any]) -> list[dict[str, str]]:
    return [each for each in report["findings"] if each["status"] in ("warning", "error")]


@pytest.fixture
def copied(stopped: OperatedServer, tmp_path: Path) -> Path:
    """A copy of the stopped server's files, to be damaged."""
    return Path(shutil.copytree(stopped.server.data, tmp_path / "data"))


def test_a_running_server_is_healthy(running: OperatedServer) -> None:
    running.run("account", "create", "doctor@example.com", "doctor.test")
    report = examine(running, "--identities", "--blobs")
    assert problems(report) == []
    assert report["healthy"] is True
    assert set(report["summary"]) == {"ok", "warning", "error", "skipped"}
    (server,) = [each for each in report["findings"] if each["check"] == "server"]
    assert server["message"] == f"pid {running.server.process.pid} is running"
    (identity,) = [each for each in report["findings"] if each["check"] == "identity"]
    assert "agree" in identity["message"]


def test_commits_while_it_looks_are_no_damage(running: OperatedServer) -> None:
    made = json.loads(running.run("account", "create", "busy@example.com", "busy.test", "--json"))
    session = running.post(
        "com.atproto.server.createSession",
        {"identifier": "busy.test", "password": made["password"]},
    )
    done = threading.Event()
    written = threading.Thread(
        target=write_until, args=(running, made["did"], session["accessJwt"], done)
    )
    written.start()
    try:
        reports = [examine(running, "--offline") for _ in range(2)]
    finally:
        done.set()
        written.join()
    assert [problems(report) for report in reports] == [[], []]


def write_until(server: OperatedServer, did: str, token: str, done: threading.Event) -> None:
    """Create records, one after the other."""
    record = {
        "$type": "app.bsky.feed.post",
        "text": "busy",
        "createdAt": "2026-01-01T00:00:00.000Z",
    }
    body = {"repo": did, "collection": "app.bsky.feed.post", "record": record}
    while not done.is_set():
        request = Request(  # noqa: S310
            f"{server.server.url}/xrpc/com.atproto.repo.createRecord",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        with urlopen(request, timeout=10):  # noqa: S310
            pass


def test_a_stopped_server_is_healthy_and_left_as_it_is(stopped: OperatedServer) -> None:
    before = contents(stopped.server.data)
    assert problems(examine(stopped, "--offline")) == []
    assert contents(stopped.server.data) == before


def contents(data: Path) -> dict[Path, tuple[int, bytes]]:
    files = [path for path in data.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_damage_ends_with_status_1_and_says_where_and_what_to_do(
    stopped: OperatedServer, copied: Path
) -> None:
    (key,) = copied.glob("actors/*/*/key")
    key.unlink()
    (problem,) = problems(examine(stopped, "--offline", data=copied, status=1))
    assert problem["subject"] == str(key)
    words = ("doctor", "--offline", "--env-file", str(stopped.server.env_file))
    done = run_pds(*words, env=moved(copied))
    assert done.returncode == 1
    row = next(line for line in done.stdout.splitlines() if str(key) in line)
    assert row.split()[0] == "error"
    assert "is missing" in row
    assert f"→ {key}\n  Leave the store as it is." in done.stdout
    assert f"/{key.relative_to(copied)} {key}`" in done.stdout
    assert "Problems found. 1 wrong" in done.stdout
    assert done.stderr == ""


def test_a_healthy_directory_is_printed_as_a_table(stopped: OperatedServer) -> None:
    done = run_pds("doctor", "--offline", "--env-file", str(stopped.server.env_file))
    assert done.returncode == 0
    assert "Nothing is wrong. 0 wrong" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if " repositories " in line]
    assert "1 of 1 sound" in row


def test_a_directory_that_the_plc_of_pds_dev_is_gone_with_says_so(stopped: OperatedServer) -> None:
    found = problems(examine(stopped, status=1))
    assert [problem["check"] for problem in found] == ["PLC directory"]
    assert "--offline" in found[0]["remedy"]


def test_a_did_key_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("names [bold]did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme[/]")
    assert "names did:key:zQ3sho" in capsys.readouterr().out


def test_missing_settings_are_findings() -> None:
    done = run_pds("doctor", "--offline", "--json")
    assert done.returncode == 1
    assert "PDS_JWT_SECRET" in {problem["subject"] for problem in problems(json.loads(done.stdout))}


def test_what_cannot_run_ends_with_status_2(tmp_path: Path) -> None:
    path = tmp_path / "pds.env"
    missing = run_pds("doctor", "--env-file", str(path))
    assert missing.returncode == 2
    path.write_bytes(b"PDS_PORT=\xff\xfe")
    unreadable = run_pds("doctor", "--env-file", str(path))
    assert unreadable.returncode == 2
    assert f"{path} is not a text file" in unreadable.stderr
    assert unreadable.stdout == ""
