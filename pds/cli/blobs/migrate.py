"""`pds blobs migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pds.cli.blobs.counting import IN, TO, Contents, count_blobs, total
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import INTERRUPTED, CommandFailed
from pds.cli.operator import Server, operate
from pds.cli.output import json_option, print_json, say
from pds.cli.progress import progress_bars
from pds.reporting import counted, parse_size

if TYPE_CHECKING:
    from pds.config import Settings
    from pds.reporting import Progress

_MIN_RATE: Final = 1000
_OTHER: Final = {"s3": "disk", "disk": "s3"}
_LOCATIONS: Final = {"disk": "PDS_BLOBSTORE_DISK_LOCATION", "s3": "PDS_BLOBSTORE_S3_BUCKET"}


def _parse_rate(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        rate = parse_size(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    if rate < _MIN_RATE:
        raise click.BadParameter("the slowest is 1kB, a thousand bytes per second")
    return rate


@click.command()
@click.option("--to", type=click.Choice(["s3", "disk"]), required=True, help="Where to move them.")
@click.option(
    "--rate",
    metavar="SIZE",
    callback=_parse_rate,
    help="Copy no more than this per second, such as 20MB.",
)
@json_option
@env_file_option
@explain_failures
def migrate(to: str, rate: int | None, as_json: bool, env_file: Path | None) -> None:
    """Move all blobs to S3, or back to the disk.

    First give the server both places, and PDS_BLOBSTORE_MOVE_TO, and restart it: it then keeps new
    uploads in the new place and reads both. This command moves everything else while the server
    runs, or without it. The bytes of each blob are compared with its CID, or the digest of a hold's
    layer, and deleted in the old place once the new one has them. Damaged ones stay and are listed.
    The move stops when the command is stopped; repeat it to go on.

    \b
    Examples:
      pds blobs migrate --to s3
      pds blobs migrate --to disk --rate 20MB --env-file /pds/pds.env
    """
    settings = load_settings(env_file)
    _check(settings, to)
    with progress_bars() as progress:
        try:
            moved = operate(settings, lambda server: _move(server, to, rate, progress))
        except KeyboardInterrupt:
            raise CommandFailed(
                "Interrupted. What has been moved stays moved; the server uses both places.",
                remedy=f"pds blobs migrate --to {to}",
                status=INTERRUPTED,
            ) from None
    if as_json:
        print_json(moved.to_json())
    else:
        say(f"Moved {TO[to]}: {moved.contents}.")
    moved.raise_if_unfinished()
    if not as_json:
        say(_last_step(settings, to))


def _check(settings: Settings, to: str) -> None:
    """Raise `CommandFailed` if the settings do not say that blobs move there."""
    homes, moves_to = settings.blob_homes, settings.blobstore.move_to
    if homes == (to,):
        raise CommandFailed(f"All blobs are {IN[to]} already; the settings name no other place.")
    if moves_to is None:
        missing = next(name for home, name in _LOCATIONS.items() if home not in homes)
        raise CommandFailed(
            f"Blobs are {IN[homes[0]]} only. To move them, also set {missing} and what belongs to "
            f"it, set PDS_BLOBSTORE_MOVE_TO={to}, and restart the server."
        )
    if moves_to != to:
        raise CommandFailed(
            f"The settings have PDS_BLOBSTORE_MOVE_TO={moves_to}. To move blobs the other way, set "
            f"it to {to} and restart the server."
        )


class Moved:
    """What the server has moved for this command."""

    def __init__(self, to: str) -> None:
        self._to = to
        self._runs: dict[str, dict[str, Any]] = {}
        self._last: dict[str, Any] = {}

    def note(self, answer: dict[str, Any]) -> None:
        """Take an answer of the server. After a pause it counts from zero, in another run."""
        self._runs[answer["run"]] = self._last = answer

    @property
    def run(self) -> str | None:
        """The run that the last answer was about."""
        return self._last.get("run")

    @property
    def is_moving(self) -> bool:
        """Whether there is more to move."""
        return self._last["state"] not in ("done", "failed")

    @property
    def contents(self) -> Contents:
        """What has been moved."""
        each = (Contents(one["movedBlobs"], one["movedBytes"]) for one in self._runs.values())
        return sum(each, Contents())

    def show(self, progress: Progress, of: Contents) -> None:
        """Show how far it is: by number, and by size including copies under way."""
        copied = sum(run["copiedBytes"] for run in self._runs.values())
        progress("blobs", self.contents.count + self._last["leftCount"], of.count)
        progress("megabytes", copied // 1_000_000, of.size_bytes // 1_000_000)

    def to_json(self) -> dict[str, Any]:
        """The outcome, for programs."""
        return {
            "to": self._to,
            "done": self._last["state"] == "done" and not self._last["leftCount"],
            "moved": self.contents.to_json(),
            "leftCount": self._last["leftCount"],
            "left": self._last["left"],
            "failure": self._last["failure"],
        }

    def raise_if_unfinished(self) -> None:
        """Raise `CommandFailed` if something has not been moved."""
        last, in_old = self._last, IN[_OTHER[self._to]]
        left = [
            f"\n  {one['did']} {one['name']} ({one['place']}): {one['problem']}"
            for one in last["left"]
        ]
        if len(left) < last["leftCount"]:
            left.append(f"\n  and {last['leftCount'] - len(left)} more, which the log names")
        if last["failure"]:
            raise CommandFailed(
                f"{last['failure'].removesuffix('.')}. What has not been moved is still {in_old}, "
                f"and is served from there.{''.join(left)}",
                remedy=f"pds blobs migrate --to {self._to}",
            )
        if left:
            raise CommandFailed(
                f"{counted(last['leftCount'], 'blob')} cannot be moved and stay {in_old}:"
                f"{''.join(left)}\nReplace each with intact bytes from a backup, or delete it "
                "there to give it up. Then repeat the command.",
                remedy=f"pds blobs migrate --to {self._to}",
            )


async def _move(server: Server, to: str, rate: int | None, progress: Progress) -> Moved:
    """Move everything, as long as this waits for it."""
    before = total(await count_blobs(server, _OTHER[to], progress))
    moved = Moved(to)
    while moved.run is None or moved.is_moving:
        moved.note(
            await server.ask(
                "POST",
                "/_holdfast/blob-stores/{store}",
                names={"store": to},
                body={"run": moved.run, "bytesPerSecond": rate},
            )
        )
        moved.show(progress, before)
    return moved


def _last_step(settings: Settings, to: str) -> str:
    blobs = settings.blobstore
    if to == "disk":
        return (
            "All blobs have moved. Remove the settings PDS_BLOBSTORE_S3_… and "
            "PDS_BLOBSTORE_MOVE_TO, and restart the server."
        )
    tmp = ", PDS_BLOBSTORE_DISK_TMP_LOCATION" if blobs.disk_tmp_location else ""
    return (
        f"All blobs have moved. Remove the settings PDS_BLOBSTORE_DISK_LOCATION{tmp} and "
        "PDS_BLOBSTORE_MOVE_TO, and restart the server. Then delete the directory "
        f"{blobs.disk_location}."
    )
