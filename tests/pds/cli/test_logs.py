"""The logs of a running server: in a file that logrotate may move away."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.processes import DevServer, run_pds


def lines_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def ask(server: DevServer, request_id: str) -> None:
    headers = {"X-Request-Id": request_id}
    with urlopen(Request(f"{server.url}/robots.txt", headers=headers), timeout=10) as response:  # noqa: S310
        assert response.headers["X-Request-Id"] == request_id


def test_a_log_file_is_written_and_opened_anew_on_sighup(tmp_path: Path) -> None:
    file, moved = tmp_path / "pds.log", tmp_path / "pds.log.1"
    environ = {"LOG_DESTINATION": str(file), "LOG_SYSTEMS": "pds.requests"}
    server = DevServer.start(tmp_path / "data", env=environ)
    try:
        ask(server, "before")
        file.rename(moved)
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not file.exists():
            assert time.monotonic() < deadline
            ask(server, "meanwhile")
        ask(server, "after")
    finally:
        assert server.stop() == 0
    assert {line["logger"] for line in lines_in(moved) + lines_in(file)} == {"pds.requests"}
    first, last = lines_in(moved)[0], lines_in(file)[-1]
    assert (first["event"], first["request_id"]) == ("request", "before")
    assert (last["event"], last["request_id"]) == ("request", "after")
    assert '"event"' not in server.log()


def test_a_log_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "pds.log"
    environ = {"LOG_DESTINATION": str(file)}
    done = run_pds("dev", "--data", str(tmp_path / "data"), env=environ)
    assert done.returncode == 1
    assert done.stderr == f"Error: {file}: No such file or directory\n"
