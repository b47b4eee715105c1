"""Every failure is told in one style: Error, how it is called, and what to try."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import pds.cli
from pds.cli import main
from tests.pds.cli.conftest import OperatedServer, Operator
from tests.processes import run_pds


def fail(*words: str) -> tuple[int, list[str]]:
    """Give a command that fails before it does anything: its status and lines."""
    done = CliRunner().invoke(main, words, prog_name="pds")
    assert done.stdout == ""
    return done.exit_code, done.stderr.splitlines()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("acount", "list"), "'account'"),
        (("account", "lst"), "'list'"),
        (("invite", "craete"), "'create'"),
        (("request_crawl",), "'request-crawl'"),
        (("export", "alice.test"), "'car export'"),
        (("list",), "'account list' or 'invite list'"),
        (("account", "list", "--jsn"), "'--json'"),
        (("serve", "--envfile", "x"), "'--env-file'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_mistyped_command_or_option_is_told_what_may_be_meant(
    words: tuple[str, ...], meant: str
) -> None:
    status, (error, usage, remedy) = fail(*words)
    assert status == 2
    assert error.startswith("Error: No such ")
    assert error.endswith(f"Did you mean {meant}?")
    assert usage.startswith("Usage: pds")
    assert re.fullmatch(r"Try: pds.* --help", remedy)


def test_what_resembles_nothing_gets_no_guess() -> None:
    _, (error, *_) = fail("xyzzy")
    assert error == "Error: No such command 'xyzzy'."


def test_a_wrong_call_says_how_to_call() -> None:
    assert fail("account", "show") == (
        2,
        [
            "Error: Missing argument 'ACCOUNT'.",
            "Usage: pds account show [OPTIONS] ACCOUNT",
            "Try: pds account show --help",
        ],
    )


def test_the_choices_of_an_option_are_told_line_by_line() -> None:
    _, lines = fail("blobs", "migrate")
    assert lines[:3] == ["Error: Missing option '--to'. Choose from:", "  s3,", "  disk"]


def test_a_remedy_can_be_typed_as_it_is(stopped: OperatedServer) -> None:
    """With the settings of the command that failed."""
    for words in (("account", "show", "nobody.test"), ("invite", "disable", "no-such-code")):
        *_, last = stopped.refuse(*words).splitlines()
        assert last.startswith("Try: pds ")
        typed = last.removeprefix("Try: pds ").split()
        assert str(stopped.server.env_file) in typed
        assert run_pds(*typed).returncode == 0


def test_a_refusal_reads_alike_whether_the_server_runs_or_not(operator: Operator) -> None:
    operator.create("refused")
    for words in (
        ("create", "other@example.com", "refused.test"),
        ("update-handle", "refused.test", "ab.test"),
        ("update-email", "refused.test", "nobody"),
    ):
        message = operator.refuse("account", *words)
        assert re.match(r"Error: [A-Z][a-z]+ ", message), message


def test_destroying_without_a_terminal_names_the_option(operator: Operator) -> None:
    operator.create("precious")
    *_, last = operator.refuse("account", "delete", "precious.test").splitlines()
    assert last == "Try: the same command with --yes, if you are sure"


@pytest.mark.parametrize(
    ("raised", "status", "lines"),
    [
        (KeyboardInterrupt, 128 + signal.SIGINT, ["", "Error: Interrupted."]),
        # A no to the question of `account delete`.
        (click.Abort, 1, ["Error: Nothing was done."]),
    ],
)
def test_who_stops_a_command_is_told_so(
    monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], status: int, lines: list[str]
) -> None:
    def stop() -> None:
        raise raised

    command = click.command("serve")(stop)
    monkeypatch.setattr(main, "get_command", lambda _ctx, _name: command)
    assert fail("serve") == (status, lines)


def test_no_command_tells_of_failures_in_its_own_way() -> None:
    """All go through `pds.cli.failures`, so that they read alike."""
    for path in Path(pds.cli.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "click.ClickException(" not in text, path
        if path.name != "failures.py":
            assert "Error: " not in text, path
            assert "Note: " not in text, path


@pytest.mark.parametrize(
    "words", [(), ("record",), ("account",)], ids=lambda words: " ".join(words)
)
def test_a_group_without_a_command_shows_its_help(words: tuple[str, ...]) -> None:
    status, lines = fail(*words)
    assert status == 2
    assert (
        lines == CliRunner().invoke(main, [*words, "--help"], prog_name="pds").stdout.splitlines()
    )
