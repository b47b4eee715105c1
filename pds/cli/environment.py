"""Where a command's settings come from, and how its failures are told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from pds.config import ConfigError, Settings
from pds.config.env_file import read_env_file

P = ParamSpec("P")
T = TypeVar("T")

env_file_option = click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read PDS_* variables from this file; the environment wins over it.",
)


def load_settings(env_file: Path | None) -> Settings:
    """Settings from the environment over an optional file. Raises `ConfigError`."""
    from_file: Mapping[str, str] = read_env_file(env_file) if env_file else {}
    return Settings.from_env({**from_file, **os.environ})


def explain_failures(command: Callable[P, T]) -> Callable[P, T]:
    """Turn the failures an operator can mend into messages without a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except ConfigError as exc:
            problems = "\n".join(f"  - {problem}" for problem in exc.problems)
            raise click.ClickException(f"The settings need attention:\n{problems}") from exc
        except OSError as exc:
            # Without a file it is no matter of permissions or paths, but a bug.
            if exc.filename is None:
                raise
            remedy = _whose(exc.filename) if isinstance(exc, PermissionError) else ""
            raise click.ClickException(f"{exc.filename}: {exc.strerror}{remedy}") from exc
        except Exception as exc:
            if not isinstance(exc, _expected_errors()):
                raise
            raise click.ClickException(str(exc)) from exc

    return run


def _whose(path: str) -> str:
    """Who may use a file, for a process that may not."""
    try:
        owner = Path(path).stat().st_uid
    except OSError:
        return ""
    return f". It belongs to uid {owner}, and this is uid {os.geteuid()}: chown it, or change users"


def _expected_errors() -> tuple[type[Exception], ...]:
    """What an operator can mend; anything else is a bug and shows its traceback."""
    # Only here, so that a command which needs no server does not import it.
    from actor_store.errors import ActorStoreError
    from database.errors import DatabaseError
    from identity.plc import PlcError
    from pds.accounts.errors import AccountError
    from pds.cli.operator import OperatorError
    from pds.data_directory import DataDirectoryError
    from pds.server import ListenError, TooFewFiles
    from pds.spool import SpoolError
    from pds.xrpc.errors import XrpcError

    return (
        AccountError,
        ActorStoreError,
        DataDirectoryError,
        DatabaseError,
        ListenError,
        OperatorError,
        PlcError,
        SpoolError,
        TooFewFiles,
        XrpcError,
    )
