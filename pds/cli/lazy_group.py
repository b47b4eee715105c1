"""A group of commands that are imported when one of them runs, not to list them."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click


class LazyGroup(click.Group):
    """A `click.Group` that answers `--help` without importing its commands, or the server.

    `summaries` maps the name of each command to the first line of its help. The command `x-y` is
    the one of that name in the module `x_y` of `package`, `import` that in `import_`.
    """

    def __init__(
        self, *args: Any, package: str, summaries: Mapping[str, str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.package = package
        self.summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of `summaries`."""
        return list(self.summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None if there is none of that name."""
        if cmd_name not in self.summaries:
            return None
        # Importing makes much that stays: looking for garbage would take a fifth of its time.
        gc.disable()
        try:
            module = import_module(f"{self.package}.{_module_of(cmd_name)}")
        finally:
            gc.enable()
        found = (one for one in vars(module).values() if isinstance(one, click.Command))
        return next(command for command in found if command.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summaries[name]) for name in self.list_commands(ctx)])


def _module_of(command: str) -> str:
    return f"{command}_" if iskeyword(command) else command.replace("-", "_")
