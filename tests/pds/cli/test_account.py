"""`pds account`: with the server running and with it stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.pds.cli.conftest import OperatedServer
from tests.processes import run_pds


def lines_of(text: str) -> dict[str, str]:
    """`name: value` lines."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def listed(server: OperatedServer) -> dict[str, dict[str, str]]:
    """What `account list --json` prints, by handle."""
    lines = server.run("account", "list", "--json").splitlines()
    accounts = [json.loads(line) for line in lines]
    return {account["handle"]: account for account in accounts}


def test_an_account_made_beside_the_running_server_can_log_in(running: OperatedServer) -> None:
    made = lines_of(running.run("account", "create", "logsin@example.com", "LogsIn.test"))
    assert made["handle"] == "logsin.test"
    assert made["did"].startswith("did:plc:")
    answer = running.post(
        "com.atproto.server.createSession",
        {"identifier": "logsin.test", "password": made["password"]},
    )
    assert answer["did"] == made["did"]


def test_an_account_is_made_as_json_with_a_given_password(running: OperatedServer) -> None:
    words = ("account", "create", "printed@example.com", "printed.test")
    made = json.loads(running.run(*words, "--json", "--password", "given-password"))
    # What the operator chose need not be shown.
    assert set(made) == {"handle", "did"}
    answer = running.post(
        "com.atproto.server.createSession",
        {"identifier": "printed@example.com", "password": "given-password"},
    )
    assert answer["did"] == made["did"]


def test_the_list_has_accounts_of_a_running_server(running: OperatedServer) -> None:
    running.run("account", "create", "listed@example.com", "listed.test")
    account = listed(running)["listed.test"]
    assert account["email"] == "listed@example.com"
    assert account["status"] == "active"
    assert account["did"].startswith("did:plc:")
    assert account["createdAt"].endswith("Z")
    table = running.run("account", "list")
    (row,) = [line for line in table.splitlines() if "listed.test" in line]
    assert account["did"] in row


def test_what_the_running_server_refuses_is_told(running: OperatedServer) -> None:
    running.run("account", "create", "twice@example.com", "twice.test")
    message = running.refuse("account", "create", "other@example.com", "twice.test")
    assert "Handle already taken: twice.test" in message


def test_the_list_of_a_stopped_server_changes_nothing(stopped: OperatedServer) -> None:
    path = stopped.server.data / "account.sqlite"
    before = path.read_bytes()
    assert list(listed(stopped)) == ["alice.test"]
    assert path.read_bytes() == before


def test_a_list_without_a_database_says_where_it_looked(
    stopped: OperatedServer, tmp_path: Path
) -> None:
    message = stopped.refuse("account", "list", PDS_DATA_DIRECTORY=str(tmp_path))
    assert str(tmp_path / "account.sqlite") in message
    assert list(tmp_path.iterdir()) == []


def test_without_a_plc_directory_the_message_says_how_to_get_one(
    stopped: OperatedServer, tmp_path: Path
) -> None:
    data = shutil.copytree(stopped.server.data, tmp_path / "data")
    message = stopped.refuse(
        "account", "create", "bob@example.com", "bob.test", PDS_DATA_DIRECTORY=str(data)
    )
    assert f"The PLC directory http://localhost:{stopped.server.plc_port} does not" in message
    assert "`pds dev`" in message
    assert "PDS_DID_PLC_URL" in message
    assert len(list((data / "actors").glob("*/did:*"))) == 1


def test_an_account_is_made_on_the_files_of_a_stopped_server(
    running: OperatedServer, stopped: OperatedServer, tmp_path: Path
) -> None:
    data = shutil.copytree(stopped.server.data, tmp_path / "data")
    environ = {
        "PDS_DATA_DIRECTORY": str(data),
        "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
        # Of another server, but a directory like any other.
        "PDS_DID_PLC_URL": f"http://localhost:{running.server.plc_port}",
    }
    options = ("--env-file", str(stopped.server.env_file))
    words = ("account", "create", "carol@example.com", "carol.test")
    done = run_pds(*words, *options, env=environ)
    assert done.returncode == 0, done.stderr
    lines = run_pds("account", "list", "--json", *options, env=environ).stdout.splitlines()
    assert [json.loads(line)["handle"] for line in lines] == ["alice.test", "carol.test"]


def test_a_taken_handle_or_address_is_refused_before_a_did_is_made(
    stopped: OperatedServer,
) -> None:
    # No PLC directory runs, so an attempt to make a DID would be told instead.
    message = stopped.refuse("account", "create", "other@example.com", "Alice.test")
    assert "Handle already taken: alice.test" in message
    message = stopped.refuse("account", "create", "Alice@example.com", "other.test")
    assert "Email already taken: Alice@example.com" in message


def test_malformed_accounts_are_refused(stopped: OperatedServer) -> None:
    assert "handle" in stopped.refuse("account", "create", "a@example.com", "a.example.com")
    assert "email" in stopped.refuse("account", "create", "nobody", "bob.test")
