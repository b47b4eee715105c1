"""The command line: `pds`."""

from __future__ import annotations

import click

from pds.cli.account import account
from pds.cli.dev import dev
from pds.cli.invite import invite
from pds.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="holdfast", prog_name="pds")
def main() -> None:
    """Holdfast: an AT Protocol Personal Data Server.

    \b
    Examples:
      pds dev                                  try it on this machine
      pds serve --env-file /pds/pds.env        run it for real
      pds account create alice@example.com alice.example.com
      pds invite create --uses 5
    """


main.add_command(account)
main.add_command(dev)
main.add_command(invite)
main.add_command(serve)
