"""The command `pds` itself: how it ends when a command fails."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from pds.cli.failures import INTERRUPTED, CommandFailed, print_failure, status_of
from pds.cli.lazy_group import LazyGroup


class Program(LazyGroup):
    """The group of all commands. It prints failures in the style of `pds.cli.failures`."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process, unless `standalone_mode` is off."""
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        failure: click.ClickException
        try:
            result: Any = run()
        except click.ClickException as exc:
            failure = exc
        except click.Abort as exc:
            failure = _failure_of(exc)
        else:
            sys.exit(result if isinstance(result, int) else 0)
        print_failure(failure)
        sys.exit(status_of(failure))


def _failure_of(abort: click.Abort) -> CommandFailed:
    if isinstance(abort.__cause__, KeyboardInterrupt):
        return CommandFailed("Interrupted.", status=INTERRUPTED)
    return CommandFailed("Nothing was done.")
