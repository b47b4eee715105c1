"""A hold whose settings `pds hold init` has written, and the commands given about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from pds.cli import main
from pds.cli.environment import load_settings
from pds.cli.hold.calls import HOLD, ask_hold
from tests.pds.hold.conftest import OWNER

URL: Final = "https://hold.example.com"


@dataclass(slots=True)
class HoldOperator:
    """Somebody who types commands with one settings file."""

    env_file: Path

    def type(self, *args: str, stdin: str = "", **environ: str) -> Result:
        """Give a `pds hold` command, however it ends."""
        given: dict[str, str | None] = {"PDS_ENV_FILE": None, **environ}
        command = ["hold", *args, "--env-file", str(self.env_file)]
        return CliRunner().invoke(main, command, input=stdin, env=given)

    def run(self, *args: str, **environ: str) -> str:
        """Give a command that succeeds; return its output."""
        done = self.type(*args, **environ)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def run_json(self, *args: str, **environ: str) -> Any:
        """Give a command that prints one JSON value."""
        return json.loads(self.run(*args, "--json", **environ))

    def run_lines(self, *args: str) -> list[Any]:
        """Give a command that prints a JSON value a line."""
        return [json.loads(line) for line in self.run(*args, "--json").splitlines()]

    def refuse(self, *args: str, **environ: str) -> str:
        """Give a command that fails; return its message, which is no traceback."""
        done = self.type(*args, **environ)
        assert done.exit_code in (1, 2), (done.output, done.exception)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        return done.stderr


@pytest.fixture
def newcomer(tmp_path: Path) -> HoldOperator:
    """Somebody who has no settings yet."""
    return HoldOperator(tmp_path / "pds.env")


@pytest.fixture
def beginner(newcomer: HoldOperator) -> HoldOperator:
    """The operator of a hold that has never been started."""
    newcomer.run("init", "--owner", OWNER, "--public-url", URL)
    return newcomer


@pytest.fixture
def operator(beginner: HoldOperator) -> HoldOperator:
    """The operator of a hold that has been started, and is stopped."""
    make_hold(beginner)
    return beginner


def make_hold(operator: HoldOperator) -> None:
    """Make the hold as a first start does, on the files."""
    ask_hold(load_settings(operator.env_file), "GET", HOLD)
