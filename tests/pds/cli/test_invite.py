"""`pds invite create`: codes that the server accepts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from database.opening import open_database
from tests.pds.cli.conftest import OperatedServer
from tests.processes import run_pds


def test_a_code_made_beside_the_running_server_is_known_to_it(running: OperatedServer) -> None:
    code = running.run("invite", "create", "--uses", "2").strip()
    assert uses_of(running.server.data / "account.sqlite", code) == 2


def test_a_code_is_made_as_json(running: OperatedServer) -> None:
    made = json.loads(running.run("invite", "create", "--json"))
    assert set(made) == {"code", "uses"}
    assert made["uses"] == 1


def test_a_code_is_made_on_the_files_of_a_stopped_server(
    stopped: OperatedServer, tmp_path: Path
) -> None:
    data = shutil.copytree(stopped.server.data, tmp_path / "data")
    done = run_pds(
        "invite",
        "create",
        "--env-file",
        str(stopped.server.env_file),
        env={"PDS_DATA_DIRECTORY": str(data)},
    )
    assert done.returncode == 0, done.stderr
    assert uses_of(data / "account.sqlite", done.stdout.strip()) == 1


def test_a_server_that_does_not_answer_is_told(running: OperatedServer) -> None:
    message = running.refuse("invite", "create", PDS_PORT="1")
    assert "does not answer on http://127.0.0.1:1" in message
    assert "PDS_PORT" in message


def test_a_wrong_administrators_password_is_told(running: OperatedServer) -> None:
    message = running.refuse("invite", "create", PDS_ADMIN_PASSWORD="wrong")
    assert "refuses PDS_ADMIN_PASSWORD" in message


def uses_of(path: Path, code: str) -> int:
    """How many accounts a code in the database is good for."""
    db = open_database(path, create=False, read_only=True)
    try:
        uses = db.value("SELECT availableUses FROM invite_code WHERE code = ?", (code,))
    finally:
        db.close()
    assert isinstance(uses, int)
    return uses
