"""Confirmation before something is destroyed."""

from __future__ import annotations

import sys

import click

from pds.cli.failures import CommandFailed

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask the operator to confirm, unless `--yes` was given.

    Raises `click.Abort` on a no, and `CommandFailed` if there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(
            "This cannot be undone, and there is no terminal to ask on.",
            remedy="the same command with --yes, if you are sure",
        )
    click.confirm(question, abort=True)
