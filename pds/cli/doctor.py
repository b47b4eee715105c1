"""`pds doctor`: what is wrong with the data directory and its environment, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from textwrap import wrap
from typing import Final, ParamSpec

import click
import orjson
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from pds.cli.environment import env_file_option, explain_failures, read_variables
from pds.cli.failures import CommandFailed
from pds.cli.output import console, fits
from pds.config.reading import read_unchecked
from pds.disk.data_directory import refuse_standby
from pds.doctor.examination import Options, examine
from pds.doctor.finding import Finding, Status
from pds.doctor.report import Report
from pds.monitoring.logs import configure_logs
from pds.reporting import Progress, no_progress, printable
from pds.server.process import raise_file_limit

P = ParamSpec("P")

_COULD_NOT_RUN: Final = 2
_STYLES: Final[dict[Status, str]] = {
    "ok": "green",
    "warning": "yellow",
    "error": "bold red",
    "skipped": "dim",
}
_STATUS_WIDTH: Final = max(map(len, _STYLES))
_COUNTED: Final[dict[Status, str]] = {
    "error": "wrong",
    "warning": "to look at",
    "ok": "fine",
    "skipped": "not checked",
}


def _distinct_failure(command: Callable[P, None]) -> Callable[P, None]:
    """Exit 2 when the examination itself fails, 1 when it finds problems."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CommandFailed as exc:
            exc.status = _COULD_NOT_RUN
            raise
        except KeyboardInterrupt as exc:
            raise CommandFailed("Interrupted.", status=_COULD_NOT_RUN) from exc

    return run


@click.command()
@click.option("--offline", is_flag=True, help="Skip checks that need the network.")
@click.option("--blobs", is_flag=True, help="Read and hash every blob instead of comparing sizes.")
@click.option(
    "--identities", is_flag=True, help="Look up the DID of every account, instead of only 20."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@env_file_option
@_distinct_failure
@explain_failures
def doctor(
    offline: bool, blobs: bool, identities: bool, as_json: bool, env_file: Path | None
) -> None:
    """Check settings, files and network; change nothing.

    Uses the settings of `pds serve`, and works while the server runs. The exit status is 0 if
    nothing is wrong (there may be warnings), 1 if something is, 2 if it could not run.

    \b
    Examples:
      pds doctor
      pds doctor --env-file /pds/pds.env
      pds doctor --offline --blobs             files only, but all bytes of them
      pds doctor --json | jq '.findings[] | select(.status == "error")'
    """
    configure_logs(enabled=False)
    variables = read_variables(env_file)
    # As the server does, so that the server's limit is the one checked.
    raise_file_limit()
    settings, _ = read_unchecked(variables.values)
    refuse_standby(settings.data_directory)
    options = Options(offline=offline, blobs=blobs, identities=identities, env_file=variables.file)
    with _progress() as progress:
        report = examine(variables.values, options, progress)
    if as_json:
        click.echo(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))
    else:
        _print_report(Report.of(map(_shown, report.findings)))
    sys.exit(report.exit_status)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show progress bars on standard error if it is a terminal."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with ProgressBar(*columns, console=Console(stderr=True, emoji=False), transient=True) as bars:
        tasks = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show


def _shown(finding: Finding) -> Finding:
    """Return a finding for people, with strangers' text escaped."""
    return replace(
        finding,
        subject=printable(finding.subject),
        message=printable(finding.message),
        remedy=printable(finding.remedy),
    )


def _print_report(report: Report) -> None:
    output = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "Check", "Subject", "Finding"):
        table.add_column(column, overflow="fold")
    for finding in report.findings:
        table.add_row(*_row(finding))
    if fits(table, output):
        output.print(table)
    else:
        for finding in report.findings:
            _print_lines(finding, output)
    for finding in report.problems:
        if finding.remedy:
            # Never wrapped, so that a command can be copied.
            output.print(f"[bold]→[/] {escape(finding.subject)}", soft_wrap=True)
            output.print(f"  {escape(finding.remedy)}\n", soft_wrap=True)
    counts = ", ".join(f"{report.count(status)} {name}" for status, name in _COUNTED.items())
    verdict = (
        "[green]Nothing is wrong.[/]" if report.exit_status == 0 else "[red]Problems found.[/]"
    )
    output.print(f"{verdict} {counts}.")


def _print_lines(finding: Finding, output: Console) -> None:
    """Print a finding without a table, for lack of width. Paths and DIDs stay whole."""
    status = f"[{_STYLES[finding.status]}]{finding.status:{_STATUS_WIDTH}}[/]"
    room = output.width - _STATUS_WIDTH - 1
    head = f"{finding.check}: {finding.subject}"
    texts = [head] if len(head) <= room else [f"{finding.check}:", finding.subject]
    texts.append(finding.message)
    lines = (
        line
        for text in texts
        for line in wrap(text, room, break_long_words=False, break_on_hyphens=False)
    )
    margin = status
    for line in lines:
        output.print(f"{margin} {escape(line)}", soft_wrap=True)
        margin = " " * _STATUS_WIDTH


def _row(finding: Finding) -> tuple[str, str, str, str]:
    style = _STYLES[finding.status]
    message = escape(finding.message)
    return f"[{style}]{finding.status}[/]", finding.check, escape(finding.subject), message
