"""`--help` of every command: examples that work, and an answer at once."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from pds.cli import COMMANDS, main
from pds.cli.lazy_group import LazyGroup


def every_command(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """The words that call each command, the group of all with none."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            yield from every_command(subcommand, (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="pds")
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_help_has_examples_that_parse(path: tuple[str, ...]) -> None:
    _, _, examples = help_of(path).partition("Examples:\n")
    lines = [line.strip() for line in examples.split("\n\n")[0].splitlines()]
    assert lines
    for line in lines:
        commands = list(commands_of(line))
        assert ["pds", *path] in [words[: 1 + len(path)] for words in commands]
        for words in commands:
            parse(words[1:])


def commands_of(line: str) -> Iterator[list[str]]:
    """The words of each `pds` of a pipeline."""
    # Without its explanation, and files that are not here.
    for part in re.sub(r"   .*|--env-file \S+| [<>] \S+", "", line).split(" | "):
        if part.startswith("pds "):
            yield shlex.split(part)


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...]) -> None:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name


def test_the_summaries_are_those_of_the_commands() -> None:
    groups = [main, *(main.get_command(click.Context(main), name) for name in COMMANDS)]
    checked = 0
    for group in groups:
        if not isinstance(group, LazyGroup):
            continue
        for name, summary in group.summaries.items():
            command = group.get_command(click.Context(group), name)
            assert command is not None
            assert command.help is not None
            assert command.help.splitlines()[0] == summary
            checked += 1
    assert checked > 15


@pytest.mark.parametrize(
    "group", [(), ("account",), ("blob",), ("car",), ("invite",), ("record",)], ids=" ".join
)
def test_listing_the_commands_imports_no_server(group: tuple[str, ...]) -> None:
    # Half a second of imports would otherwise stand between the operator and the list.
    words = [*group, "--help"]
    program = (
        f"import sys\nfrom pds.cli import main\nmain({words!r}, standalone_mode=False)\n"
        "print({'aiohttp', 'apsw', 'pydantic', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert "Commands:" in done.stdout
    assert done.stderr == "set()\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["server"])
    assert result.exit_code == 2
    assert "No such command 'server'" in result.output


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.startswith("pds, version ")


def parse(words: list[str]) -> None:
    """Take the words as `pds` would, without running a command. Raises `click.UsageError`."""
    command: click.Command = main
    context = click.Context(main, info_name="pds")
    while isinstance(command, click.Group):
        if command.invoke_without_command and words[:1] and words[0].startswith("-"):
            break  # It runs by itself, with options of its own.
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, list(words))
