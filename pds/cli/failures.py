"""How every command reports a failure.

On standard error, whatever the output format is:

    Error: <what is wrong, in one or more sentences>
    Usage: <how to call the command>           if it was called wrongly
    Try: <what to type>                        if something helps

The exit status is 1, or 2 for a wrong call and 130 for Ctrl-C. Remarks begin with `Note:`.
"""

from __future__ import annotations

from typing import Final

import click

from pds.reporting import printable

INTERRUPTED: Final = 128 + 2
"""The exit status after Ctrl-C."""


class CommandFailed(click.ClickException):
    """A command was refused or could not be carried out; the message is for the operator.

    `remedy` is what to type next, if anything; `status` is the exit status of the process.
    """

    def __init__(self, message: str, *, remedy: str = "", status: int = 1) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.status = status


def status_of(exc: click.ClickException) -> int:
    """Return the exit status of the process."""
    return exc.status if isinstance(exc, CommandFailed) else exc.exit_code


def print_failure(exc: click.ClickException) -> None:
    """Print a failure in this module's format. A group without a command shows its help."""
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        exc.show()
        return
    # The lines of a message and their tabs are ours, but what is in them may be a stranger's.
    lines = map(printable, exc.format_message().expandtabs(2).split("\n"))
    click.echo("\n".join(("Error: " + next(lines), *lines)), err=True)
    remedy = exc.remedy if isinstance(exc, CommandFailed) else ""
    if isinstance(exc, click.UsageError) and exc.ctx is not None:
        click.echo(exc.ctx.get_usage(), err=True)
        remedy = f"{exc.ctx.command_path} --help"
    if remedy:
        click.echo(f"Try: {remedy}", err=True)


def note(text: str) -> None:
    """Print a remark for the operator; nothing is wrong."""
    click.echo(f"Note: {printable(text)}", err=True)
