"""`pds dev`: a network that is the same one after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from pds.config.env_file import read_env_file
from tests.pds.cli.conftest import OperatedServer
from tests.processes import DevServer, free_port, run_pds
from tests.small_disk import fill, small_disk


def test_sessions_and_dids_live_through_a_restart(tmp_path: Path) -> None:
    first = OperatedServer(DevServer.start(tmp_path / "data"))
    account = {"handle": "alice.test", "email": "alice@example.com", "password": "a password"}
    session = first.post("com.atproto.server.createAccount", account)
    document = get(f"http://localhost:{first.server.plc_port}/{session['did']}")
    assert first.server.stop() == 0
    again = OperatedServer(first.server.start_again())
    try:
        auth = {"Authorization": f"Bearer {session['accessJwt']}"}
        url = f"{again.server.url}/xrpc/com.atproto.server.getSession"
        assert get(url, auth)["did"] == session["did"]
        assert get(f"http://localhost:{again.server.plc_port}/{session['did']}") == document
    finally:
        assert again.server.stop() == 0


def test_variables_of_the_environment_override_its_settings(tmp_path: Path) -> None:
    environ = {"PDS_ADMIN_PASSWORD": "admin-pass", "PDS_INVITE_REQUIRED": "true"}
    server = DevServer.start(tmp_path / "data", env=environ)
    try:
        described = get(f"{server.url}/xrpc/com.atproto.server.describeServer")
        assert described["inviteCodeRequired"] is True
        assert read_env_file(server.env_file)["PDS_ADMIN_PASSWORD"] == "admin-pass"
        # The file tells the other commands, which make the invite code that is needed.
        operated = OperatedServer(server)
        operated.run("account", "create", "alice@example.com", "alice.test")
    finally:
        assert server.stop() == 0


def test_the_first_post_that_it_shows_is_as_it_says(running: OperatedServer) -> None:
    log = running.server.log()
    assert f"Holdfast is ready on {running.server.url}" in log
    assert f"PLC directory   http://localhost:{running.server.plc_port}" in log
    assert f"Mails           {running.server.url}/dev/mails" in log
    assert str(running.server.env_file) in log.replace("\n", "")
    assert f"{running.server.url}/xrpc/com.atproto.server.createAccount" in log


def test_a_port_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    done = run_pds("dev", "--data", str(tmp_path), "--plc-port", "70000")
    assert done.returncode == 2
    assert "70000 is not in the range" in done.stderr


def get(url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON that an address answers with."""
    with urlopen(Request(url, headers=headers or {}), timeout=10) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer


def test_a_disk_without_room_for_the_settings_is_told_without_a_traceback(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", size_mb=1) as disk:
        fill(disk)
        ports = ["--port", str(free_port()), "--plc-port", str(free_port())]
        done = run_pds("dev", "--data", str(disk), *ports)
    assert done.returncode == 1
    assert "No space left on device. Free space and repeat the command." in done.stderr
    assert "Traceback" not in done.stderr
