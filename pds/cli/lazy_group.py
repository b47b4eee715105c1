"""A command group that imports a command to run it, but not to list it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A `click.Group` that answers `--help` without importing its commands, or the server.

    `summaries` maps the name of each command to the first line of its help. The command `x-y` is
    in the module `x_y` of `package`, a keyword such as `import` in `import_`.
    """

    def __init__(
        self, *args: Any, package: str, summaries: Mapping[str, str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.package = package
        self.summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of `summaries`."""
        return list(self.summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None if there is no such command."""
        if cmd_name not in self.summaries:
            return None
        # Imports allocate much that stays: collecting garbage would take a fifth of their time.
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
        """Resolve the called command. For an unknown one, the error suggests similar names."""
        name = args[0]
        is_option = name.startswith("-")
        if name in self.summaries or is_option or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = get_close_matches(name, self.summaries) or self._find_below(ctx, name)
        hint = f" Did you mean {' or '.join(repr(one) for one in meant)}?" if meant else ""
        raise click.UsageError(f"No such command {name!r}.{hint}", ctx)

    def _find_below(self, ctx: click.Context, name: str) -> list[str]:
        """Find the subgroups that have a command of that name."""
        groups = ((group, self.get_command(ctx, group)) for group in self._groups())
        return [
            f"{group} {name}"
            for group, found in groups
            if isinstance(found, LazyGroup) and name in found.summaries
        ]

    def _groups(self) -> Iterator[str]:
        """Iterate over the commands that are groups: packages, where the others are modules."""
        for name in self.summaries:
            spec = find_spec(f"{self.package}.{_module_of(name)}")
            if spec is not None and spec.submodule_search_locations is not None:
                yield name

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return shell completions: commands with their summaries, and options."""
        from click.shell_completion import CompletionItem

        begun = (
            (name, text) for name, text in self.summaries.items() if name.startswith(incomplete)
        )
        commands = [CompletionItem(name, help=text) for name, text in begun]
        # Not the group's own method, which imports every command.
        return [*commands, *super(click.Group, self).shell_complete(ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summaries[name]) for name in self.list_commands(ctx)])


def refuse_options(ctx: click.Context) -> None:
    """Refuse options of a group before the name of one of its commands: they would be ignored.

    For groups that do something without a command.
    """
    for param in ctx.command.params:
        if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[0]} is an option of `{ctx.command_path}` itself. Put it behind "
                f"{ctx.invoked_subcommand!r} if that command has it."
            )


def _module_of(command: str) -> str:
    return f"{command}_" if iskeyword(command) else command.replace("-", "_")
