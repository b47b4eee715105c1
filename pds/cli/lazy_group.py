"""A group of commands that are imported when one of them runs, not to list them."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is called. For an unknown one the message names what may be meant."""
        name = args[0]
        is_option = name.startswith("-")
        if name in self.summaries or is_option or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = get_close_matches(name, self.summaries) or self._find_below(ctx, name)
        hint = f" Did you mean {' or '.join(repr(one) for one in meant)}?" if meant else ""
        raise click.UsageError(f"No such command {name!r}.{hint}", ctx)

    def _find_below(self, ctx: click.Context, name: str) -> list[str]:
        """Where a command of that name is in the groups of this one."""
        groups = ((group, self.get_command(ctx, group)) for group in self._groups())
        return [
            f"{group} {name}"
            for group, found in groups
            if isinstance(found, LazyGroup) and name in found.summaries
        ]

    def _groups(self) -> Iterator[str]:
        """The commands that are groups: packages, where the others are modules."""
        for name in self.summaries:
            spec = find_spec(f"{self.package}.{_module_of(name)}")
            if spec is not None and spec.submodule_search_locations is not None:
                yield name

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What may follow in a shell: commands by their summaries, and options."""
        from click.shell_completion import CompletionItem

        begun = (
            (name, text) for name, text in self.summaries.items() if name.startswith(incomplete)
        )
        commands = [CompletionItem(name, help=text) for name, text in begun]
        # Not the group's own way, which imports every command.
        return [*commands, *super(click.Group, self).shell_complete(ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summaries[name]) for name in self.list_commands(ctx)])


def _module_of(command: str) -> str:
    return f"{command}_" if iskeyword(command) else command.replace("-", "_")
