"""`pds account second-factor reset`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.confirmation import confirm, yes_option
from pds.cli.operator import operate
from pds.cli.output import print_json, say


@click.command()
@account_options
@yes_option
def reset(account: str, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Remove all second factors of somebody who has lost them.

    Authenticator app, passkeys, codes by email, recovery codes and trusted browsers are removed, so
    that the password alone signs in. Be sure that it is the owner who asks.

    \b
    Examples:
      pds account second-factor reset alice.example.com
      pds account second-factor reset did:plc:ewvi7nxzyoun6zhxrhs64oiz --yes
    """
    target = Target.find(account, env_file)
    confirm(f"Remove all second factors of {target.name}?", yes=yes)
    answer = operate(
        target.settings,
        lambda server: server.ask(
            "DELETE", "/_holdfast/second-factors/{account}", names={"account": target.did}
        ),
        asks_entryway_for="second factors",
    )
    if as_json:
        print_json(answer)
    else:
        say(f"{target.name} has no second factor any longer.")
