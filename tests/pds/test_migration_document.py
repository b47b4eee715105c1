"""docs/migrate-from-reference.md says rightly what of pdsadmin works, and what does the same."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import click

from pds.api import METHODS
from pds.cli import main

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "migrate-from-reference.md"
ROW = re.compile(r"^\| (`pdsadmin [^|]+) \| ([^|]+) \|([^|]*)\|$", re.MULTILINE)


def test_every_command_of_pdsadmin_works() -> None:
    served = {method.nsid for method in chain.from_iterable(METHODS)}
    rows = ROW.findall(DOCUMENT.read_text())
    assert len(rows) == 7
    for commands, needs, _ in rows:
        ours = set(re.findall(r"`(com\.atproto\.[\w.]+)`", needs)) - {
            "com.atproto.sync.requestCrawl"  # served by relays
        }
        assert ours <= served, commands


def test_the_commands_that_do_the_same_exist() -> None:
    own = [re.findall(r"`pds ([^`]+)`", row[2]) for row in ROW.findall(DOCUMENT.read_text())]
    for words in chain.from_iterable(own):
        command: click.Command | None = main
        for word in words.split():
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
        assert command is not None, words
