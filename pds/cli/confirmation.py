"""Asking before something is destroyed."""

from __future__ import annotations

import sys

import click

from pds.cli.failures import CommandFailed

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Go on if the operator says so, or has said so with `--yes`.

    Raises `click.Abort` on a no, and `CommandFailed` where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(
            "This cannot be undone, and there is no terminal to ask on.",
            remedy="the same command with --yes, if you are sure",
        )
    click.confirm(question, abort=True)
