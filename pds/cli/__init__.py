"""The command line: `pds`."""

from __future__ import annotations

from typing import Final

import click

from pds import DISTRIBUTION
from pds.cli.program import Program

COMMANDS: Final = {
    "account": "Create, list and change accounts.",
    "admin": "Repair the sign-in of the administrator's pages.",
    "blob": "Take blobs down, and put them back.",
    "blobs": "Move all blobs to S3, or back to the disk.",
    "car": "Inspect, check, edit, compare, export and import repositories in CAR files.",
    "dev": "Run a complete network on this machine, without internet or configuration.",
    "doctor": "Check settings, files and network; change nothing.",
    "firehose": "Show who is subscribed to this server's events.",
    "hold": "Run a hold: storage for images of the ATCR container registry.",
    "invite": "Create, list and disable invite codes.",
    "key": "Replace the keys of accounts, and the server's rotation key in their DIDs.",
    "readonly": "Serve repositories from CAR files.",
    "record": "Take records down, and put them back.",
    "replicate": "Replicate the whole server to another place, continuously.",
    "request-crawl": "Ask relays to follow this server.",
    "restore": "Restore a server, or some accounts, from a replica.",
    "sequencer": "Raise the sequence numbers of events.",
    "serve": "Run the server with the settings of the environment.",
    "standby": "Keep a warm copy of a replicated server, within seconds of the replica.",
}
"""Every command and the first line of its help."""


@click.group(
    cls=Program,
    package=__name__,
    summaries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name=DISTRIBUTION, prog_name="pds")
def main() -> None:
    """Holdfast: an AT Protocol Personal Data Server.

    \b
    Examples:
      pds dev                                  try it on this machine
      pds serve --env-file /pds/pds.env        run it for real
      pds account create alice@example.com alice.example.com
      pds invite create --uses 5
      pds doctor --env-file /pds/pds.env       is all well?
      pds car export alice.example.com         keep a copy of a repository
      pds serve --replicate s3://backups/pds   keep a copy of everything
    """
