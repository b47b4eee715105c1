"""`pds admin reset-second-factor`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from database.opening import open_database
from database.wal import sync_wal
from pds.administration.second_factor import reset
from pds.cli.confirmation import confirm, yes_option
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import CommandFailed
from pds.cli.output import say
from pds.disk.data_directory import refuse_standby


@click.command("reset-second-factor")
@yes_option
@env_file_option
@explain_failures
def reset_second_factor(yes: bool, env_file: Path | None) -> None:
    """Let the administrator in who has lost the authenticator app.

    The pages below /admin ask for the password alone then. Works while the server runs, and only on
    its machine: with the password alone nobody can do this from elsewhere.

    \b
    Examples:
      pds admin reset-second-factor
      pds admin reset-second-factor --yes --env-file /pds/pds.env
    """
    settings = load_settings(env_file)
    refuse_standby(settings.data_directory)
    path = settings.account_db_path
    if not path.exists():
        raise CommandFailed(f"There is no service database at {path} yet.", remedy="pds doctor")
    confirm("Remove the second factor of the administrator?", yes=yes)
    with closing(open_database(path, create=False)) as db:
        was_set = reset(db)
        # Closing syncs only what no running server has open as well.
        sync_wal(path)
    if was_set:
        say("The administrator's pages ask for the password alone.")
    else:
        say("The administrator has no second factor.")
