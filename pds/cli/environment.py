"""Where a command's settings come from, and how its failures are reported."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from database.files import has_no_space
from pds.cli.failures import CommandFailed, note
from pds.config import ConfigError, Settings, read_settings
from pds.config.env_file import (
    IN_WORKING_DIRECTORY,
    SECRETS,
    USUAL_PLACES,
    VARIABLE,
    find_env_file,
    may_be_taken,
    read_env_file,
)
from pds.config.hold.secrets_file import find_hold_env, make_hold_env

P = ParamSpec("P")
T = TypeVar("T")

PLACES: Final = ", ".join(
    str(place) if place.is_absolute() else f"./{place}" for place in USUAL_PLACES
)
"""Where commands look for settings, for their help."""

env_file_option = click.option(
    "--env-file",
    envvar=VARIABLE,
    show_envvar=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read PDS_* variables from this file; the environment takes precedence. By default the "
    f"first of {PLACES}, unless the environment itself has secrets; /dev/null for none.",
)


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment variables of a command."""

    values: Mapping[str, str]
    file: Path | None
    """The file that some of them come from."""
    made: Mapping[str, str] = field(default_factory=dict)
    """Those that a server which is only a hold lacked, for `keep_hold_env` at its first start."""

    def with_settings(self, given: Mapping[str, str]) -> Variables:
        """Return them with settings that options override."""
        return replace(self, values={**self.values, **given})

    def settings(self) -> Settings:
        """Parse them. Raises `CommandFailed` with everything that is wrong."""
        try:
            return read_settings(self.values)
        except ConfigError as exc:
            raise _needs_attention(exc, self.file) from exc


def read_variables(env_file: Path | None) -> Variables:
    """Read the environment, which overrides a file: `env_file`, or one that is found and noted.

    The secrets of a server that is only a hold, which both lack, come from its `hold.env`.

    Raises `ConfigError` and `OSError` for a file that cannot be read.
    """
    file = env_file or find_env_file(os.environ)
    values = dict(os.environ) if file is None else {**read_env_file(file), **os.environ}
    if env_file is None and file is not None:
        note(f"settings from {file.absolute()}")
    values |= find_hold_env(values)
    made = make_hold_env(values)
    return Variables(values | made, file if file is not None and file.is_file() else None, made)


def load_settings(env_file: Path | None) -> Settings:
    """Load the settings. Raises what `read_variables` and `Variables.settings` raise."""
    return read_variables(env_file).settings()


def _needs_attention(exc: ConfigError, file: Path | None) -> CommandFailed:
    if file is not None:
        return CommandFailed(_problems_text(exc, f" of {file}"))
    message = _problems_text(exc)
    left_out, has = find_env_file({}), [name for name in SECRETS if os.environ.get(name)]
    if left_out is not None and has:
        message += f"\n{left_out} was not read, because the environment has {has[0]}."
    elif IN_WORKING_DIRECTORY.is_file() and not may_be_taken(IN_WORKING_DIRECTORY):
        message += (
            f"\n{IN_WORKING_DIRECTORY} was not read, because it belongs to another user or anyone "
            "may write it."
        )
    remedy = f"--env-file FILE, or {VARIABLE}=FILE; without them the first of {PLACES} is read"
    return CommandFailed(message, remedy=remedy)


def _problems_text(exc: ConfigError, of_file: str = "") -> str:
    problems = "\n".join(f"  - {problem}" for problem in exc.problems)
    return f"The settings{of_file} need attention:\n{problems}"


def explain_failures(command: Callable[P, T]) -> Callable[P, T]:
    """Turn failures that an operator can correct into messages without a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except CommandFailed as exc:
            remedy = _typed(exc.remedy)
            raise CommandFailed(_message(exc), remedy=remedy, status=exc.status) from exc
        except ConfigError as exc:
            raise CommandFailed(_problems_text(exc)) from exc
        except OSError as exc:
            if exc.filename is None and has_no_space(exc):
                raise CommandFailed(f"{exc.strerror}. Free space and repeat the command.") from exc
            # Without a file name it is not about permissions or paths, but a bug.
            if exc.filename is None:
                raise
            remedy = _give(exc.filename) if isinstance(exc, PermissionError) else ""
            raise CommandFailed(f"{exc.filename}: {exc.strerror}{remedy}") from exc
        except Exception as exc:
            if not isinstance(exc, _expected_errors()):
                raise
            raise CommandFailed(_message(exc)) from exc

    return run


def _typed(remedy: str) -> str:
    """Return a command as it has to be typed, with the settings file of the one that failed."""
    context = click.get_current_context()
    is_given = context.get_parameter_source("env_file") is ParameterSource.COMMANDLINE
    if not remedy.startswith("pds ") or not is_given:
        return remedy
    return f"{remedy} --env-file {shlex.quote(str(context.params['env_file']))}"


def _give(path: str) -> str:
    """Say who owns a file, and how a process without access gets it."""
    from pds.disk.remedies import give_to_server

    try:
        owner = Path(path).stat().st_uid
    except OSError:
        return f". {give_to_server(path)}" if Path(path).parent.name.startswith("did:") else ""
    return (
        f". It belongs to uid {owner}, and this is uid {os.geteuid()}. {give_to_server(path)} "
        "Or run pds as its owner."
    )


def _message(exc: Exception) -> str:
    """Return an error's message for the operator, with the remedy if there is one."""
    from database.errors import DatabaseError
    from identity.plc import UNLISTED_KEY
    from pds.disk.remedies import mend_database, mend_rotation_key
    from pds.replication.errors import ReplicationError

    if isinstance(exc, ReplicationError):
        text = f"{str(exc).removesuffix('.')}."
        # A sentence that begins with a URL keeps it as it was typed.
        return text if "://" in text.partition(" ")[0] else f"{text[:1].upper()}{text[1:]}"
    if isinstance(exc, DatabaseError):
        return f"{exc.path}: {exc.reason}. {mend_database(exc)}".rstrip()
    # A running server reports it in these words, too.
    return f"{exc}. {mend_rotation_key()}" if UNLISTED_KEY in str(exc) else str(exc)


def _expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors an operator can correct; any other is a bug and shows its traceback."""
    # Imported only here, so that a command which needs no server does not import it.
    from actor_store.errors import ActorStoreError
    from database.errors import DatabaseError
    from identity.plc import PlcError
    from pds.accounts.errors import AccountError
    from pds.disk.data_directory import DataDirectoryError
    from pds.replication.errors import ReplicationError
    from pds.server.handover import TakeOverFailed
    from pds.server.listening import ListenError
    from pds.server.process import TooFewFiles
    from pds.server.workers.workers import WorkersFailed

    return (
        AccountError,
        ActorStoreError,
        DataDirectoryError,
        DatabaseError,
        ListenError,
        PlcError,
        ReplicationError,
        TakeOverFailed,
        TooFewFiles,
        WorkersFailed,
    )
