"""`pds key rotate`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.entryway import refuse_behind_entryway
from pds.cli.operator import operate
from pds.cli.output import print_json, say


@click.command()
@account_options
def rotate(account: str, as_json: bool, env_file: Path | None) -> None:
    """Give an account a new signing key.

    Use this if somebody else may have the key, or it is lost. The new key is put into the account's
    DID, signed with the server's rotation key, and signs a commit of the same records; the network
    is notified. Logins are not affected. If it is cut off, repeat it. The owner of a did:web
    changes the key in their own document.

    \b
    Examples:
      pds key rotate alice.example.com
      pds key rotate did:plc:ewvi7nxzyoun6zhxrhs64oiz --json
    """
    target = Target.find(account, env_file)
    refuse_behind_entryway(target.settings, "rotation keys")

    rotated = operate(
        target.settings,
        lambda server: server.ask(
            "PUT", "/_holdfast/signing-key/{account}", names={"account": target.did}
        ),
    )
    if as_json:
        print_json(rotated)
    else:
        say(f"{target.name} signs with {rotated['signingKey']} from now on.")
