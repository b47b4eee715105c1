"""What strangers have written never reaches the operator's terminal as it is."""

from __future__ import annotations

import pytest
from click import ClickException

from pds.cli.failures import CommandFailed, note, print_failure
from pds.cli.output import print_fields, print_table, say
from tests.pds.cli.conftest import Operator

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\r\nStatus: active"
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
    assert again.endswith(f"The first reason stays: {SHOWN}\n")
    assert f"Taken down:    {SHOWN}\n" in operator.run("account", "show", "forger.test")
    # Programs get it as it is.
    assert operator.show("forger.test")["takedownRef"] == HOSTILE
