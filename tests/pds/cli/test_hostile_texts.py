"""What strangers have written never reaches the operator's terminal as it is."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner

from pds.cli import main
from pds.cli.car.files import write_json_lines, write_lines
from pds.cli.failures import CommandFailed, note, print_failure
from pds.cli.output import print_fields, print_table, say
from tests.pds.car.cars import car_of
from tests.pds.cli.car.conftest import run_car
from tests.pds.cli.conftest import OperatedServer, Operator
from tests.pds.config.test_settings import WORKING
from tests.pds.relays import Relay
from tests.processes import run_pds

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\r\nStatus: active"
HOSTILE_NAME = "\x1b[2Jname"
SHOWN_NAME = r"\x1b[2Jname"
SHOWN = r"\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\r\nStatus: active"


def test_a_text_that_moves_the_cursor_is_escaped_wherever_commands_print(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say(HOSTILE)
    print_fields([("Name", HOSTILE), ("Größe", "naïve ✓")])
    print_table("1 thing", ("Name", "Text"), [("x", HOSTILE)])
    print_failure(CommandFailed(f"two\nlines with {HOSTILE[:9]}"))
    note(HOSTILE)
    out, err = capsys.readouterr()
    printed = out.splitlines()
    assert printed[0] == SHOWN
    assert f"Name:  {SHOWN}" in printed
    assert "Größe: naïve ✓" in printed
    assert any(SHOWN in line for line in printed[3:])
    assert err == f"Error: two\nlines with \\x1b]0;title\nNote: {SHOWN}\n"


def test_the_message_of_any_failure_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_failure(ClickException("\x1b[31mred"))
    assert capsys.readouterr().err == "Error: \\x1b[31mred\n"


def test_a_reason_with_escape_codes_is_told_in_one_line(operator: Operator) -> None:
    operator.create("forger")
    operator.run("account", "takedown", "forger.test", "--ref", HOSTILE)
    again = operator.run("account", "takedown", "forger.test")
    assert again.endswith(f"The first reason is kept: {SHOWN}\n")
    assert f"Taken down:    {SHOWN}\n" in operator.run("account", "show", "forger.test")
    # Programs get it as it is.
    assert operator.show("forger.test")["takedownRef"] == HOSTILE


def test_lines_about_a_car_are_escaped_and_its_json_is_not(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    write_lines([HOSTILE, "naïve ✓"])
    write_json_lines([{"key": HOSTILE}])
    *lines, json_line = capfdbinary.readouterr().out.decode().splitlines()
    assert lines == [SHOWN, "naïve ✓"]
    assert json.loads(json_line) == {"key": HOSTILE}


def test_what_car_tools_say_of_a_file_is_escaped(tmp_path: Path) -> None:
    (tmp_path / HOSTILE_NAME).write_bytes(car_of())
    for words in (("verify", HOSTILE_NAME), ("verify", "none-" + HOSTILE_NAME)):
        ended = run_car(*words, cwd=tmp_path)
        assert SHOWN_NAME in ended.out.decode()
        assert "\x1b" not in ended.out.decode() + ended.err
    packed = run_car("unpack", HOSTILE_NAME, HOSTILE_NAME + ".d", cwd=tmp_path)
    assert f"{SHOWN_NAME}.d: " in packed.err
    assert "\x1b" not in packed.err


def test_findings_of_the_doctor_are_escaped(stopped: OperatedServer, tmp_path: Path) -> None:
    data = shutil.copytree(stopped.server.data, tmp_path / HOSTILE_NAME)
    environ = {"PDS_DATA_DIRECTORY": str(data), "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs")}
    words = ("doctor", "--offline", "--env-file", str(stopped.server.env_file))
    text = run_pds(*words, env=environ).stdout
    assert SHOWN_NAME in text
    assert "\x1b" not in text
    report = json.loads(run_pds(*words, "--json", env=environ).stdout)
    # Programs get it as it is.
    assert any(HOSTILE_NAME in finding["subject"] for finding in report["findings"])


async def test_the_answer_of_a_relay_is_told_in_one_line() -> None:
    async with Relay() as relay:
        relay.status, relay.answer = 400, {"error": "Refused", "message": HOSTILE}
        words = ["request-crawl", relay.url]
        done = await asyncio.to_thread(CliRunner().invoke, main, words, env=WORKING)
    assert done.exit_code == 1
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
