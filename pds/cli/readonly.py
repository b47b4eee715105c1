"""`pds readonly`: repositories from CAR files, served to everyone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pds.cli.environment import explain_failures
from pds.cli.failures import CommandFailed
from pds.cli.output import say
from pds.cli.progress import progress_bars
from pds.config.addresses import address_by_old_name

if TYPE_CHECKING:
    from pds.config import Settings
    from pds.readonly.library import Counts
    from pds.readonly.server import ReadonlyOptions
    from repo.syntax import Did, Handle

_LOOPBACK: Final = "127.0.0.1"


@click.command()
@click.option(
    "--car",
    "cars",
    multiple=True,
    metavar="PATH",
    help="A CAR file, a directory of them, or a pattern; may be repeated.",
)
@click.argument("more_cars", nargs=-1, metavar="[PATH]...")
@click.option(
    "--blobs",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of blobs, as <did>/<cid> or <did>/<any>/<cid>.",
)
@click.option(
    "--port", envvar="PDS_PORT", default=3000, show_default=True, help="Port to listen on."
)
@click.option(
    "--host",
    envvar="PDS_BIND_ADDRESS",
    default=lambda: address_by_old_name(os.environ.get("PDS_HOST")) or _LOOPBACK,
    show_default=_LOOPBACK,
    help="Address to bind.",
)
@click.option(
    "--hostname",
    envvar="PDS_HOSTNAME",
    default="localhost",
    show_default=True,
    help="Public host name.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the stores, a cache; next to the first CAR file by default.",
)
@click.option(
    "--verify",
    type=click.Choice(["available", "strict", "offline"]),
    default="available",
    show_default=True,
    help="Verify signatures if the DID document is available, always, or never.",
)
@click.option(
    "--handles",
    "handles_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with a DID and its handle on each line.",
)
@click.option("--watch", is_flag=True, help="Pick up new and changed files while serving.")
@explain_failures
def readonly(
    cars: tuple[str, ...],
    more_cars: tuple[str, ...],
    blobs: Path | None,
    port: int,
    host: str,
    hostname: str,
    data: Path | None,
    verify: str,
    handles_file: Path | None,
    watch: bool,
) -> None:
    """Serve repositories from CAR files.

    Serves the reading half of the protocol, and pages for people. Every file is checked when it is
    loaded: each block's hash, the tree, the records, and the commit's signature. A file that fails
    is reported with the reason; the rest is served. What has been loaded once is served at once,
    and not loaded again until its file changes.

    \b
    Examples:
      pds readonly --car ./repos --blobs ./blobs
      pds readonly --car ./repos/*.car --port 8080 --watch
      pds readonly --car alice.car --verify offline
    """
    from pds.readonly.environment import read_environment
    from pds.readonly.server import ReadonlyOptions

    found = read_environment(
        os.environ,
        places=(*cars, *more_cars),
        blobs=blobs,
        data=data,
        listen={"PDS_BIND_ADDRESS": host, "PDS_PORT": str(port), "PDS_HOSTNAME": hostname},
    )
    options = ReadonlyOptions(
        places=found.places,
        blobs=found.blobs,
        verification=verify,  # type: ignore[arg-type] # click has checked it
        handles=_read_handles(handles_file),
        watch=watch,
        processes=os.cpu_count() or 1,
    )
    _serve(found.settings, options)


def _read_handles(file: Path | None) -> Mapping[Did, Handle]:
    from pds.readonly.handles_file import InvalidHandlesFile, read_handles_file

    try:
        return read_handles_file(file) if file else {}
    except InvalidHandlesFile as exc:
        raise CommandFailed(str(exc)) from exc


def _serve(settings: Settings, options: ReadonlyOptions) -> None:
    """Serve until a signal arrives. Progress bars, or log lines, show the loading."""
    import uvloop

    from pds.cli.server_logs import server_logs
    from pds.readonly.progress import log_progress
    from pds.readonly.server import serve_readonly

    with server_logs(settings) as logs, ExitStack() as bars:
        show = log_progress() if not sys.stderr.isatty() else bars.enter_context(_bars())

        def listening() -> None:
            say(f"Serving on {settings.public_url}   (Ctrl-C stops it)", err=True)

        def loaded(counts: Counts) -> None:
            bars.close()
            say(
                f"{counts.loaded} loaded, {counts.unchanged} unchanged, {counts.refused} refused.",
                err=True,
            )

        uvloop.run(
            serve_readonly(
                settings,
                options,
                on_listening=listening,
                on_progress=show,
                on_loaded=loaded,
                logs=logs,
            )
        )


@contextmanager
def _bars() -> Iterator[Callable[[int, int], None]]:
    with progress_bars() as show:
        yield lambda done, total: show("loading kB", done // 1000, total // 1000)
