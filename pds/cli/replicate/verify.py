"""`pds replicate verify`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from actor_store.layout import ActorLayout
from pds.cli.environment import env_file_option, explain_failures, read_variables
from pds.cli.failures import INTERRUPTED, CommandFailed, note
from pds.cli.output import json_option, print_json, print_table, say
from pds.cli.progress import progress_bars
from pds.cli.replica_options import from_option, identity_option, require_url
from pds.cli.replicate.replica import open_replica
from pds.config.reading import read_unchecked
from pds.doctor.restored import Copy
from pds.monitoring.logs import configure_logs
from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.target import RestoreTarget
from pds.replication.restore.verifying import Verification, Verifier
from pds.reporting import counted

if TYPE_CHECKING:
    from pds.config import Settings
    from pds.doctor.finding import Finding
    from pds.reporting import Progress

_SAMPLE: Final = 20
_COLUMNS: Final = ("Finding", "Check", "Subject", "Message")


@click.command()
@click.option(
    "--sample",
    type=click.IntRange(1),
    help=f"So many accounts, chosen at random; {_SAMPLE} if nothing else is said.",
)
@click.option("--all", "everyone", is_flag=True, help="All accounts.")
@click.option("--did", "dids", multiple=True, help="This account; may be repeated.")
@from_option
@identity_option
@click.option(
    "--scratch",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Restore to a new directory in this one; where the system has temporary files by default.",
)
@json_option
@env_file_option
@explain_failures
def verify(
    sample: int | None,
    everyone: bool,
    dids: tuple[str, ...],
    url: str | None,
    identity: Path | None,
    scratch: Path | None,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Restore accounts from the replica to a scratch directory, and check them.

    Every page, block, record and signature is checked as by `pds doctor`, blobs included, and each
    account is compared with the live files: a change older than a minute must be there. The
    scratch directory needs room for what is restored, and is deleted at the end. Works beside the
    server, and changes neither it nor the replica. The exit status is 1 if anything is wrong.

    \b
    Examples:
      pds replicate verify
      pds replicate verify --all --scratch /var/tmp
      pds replicate verify --did did:plc:ewvi7nxzyoun6zhxrhs64oiz --json
    """
    configure_logs(level="warning")
    if sum((sample is not None, everyone, bool(dids))) > 1:
        raise click.UsageError("Give one of --sample, --all and --did.")
    variables = read_variables(env_file).values
    settings, _ = read_unchecked(variables)
    source = require_url(url, variables, to="verify", remedy="pds replicate verify --from URL")
    count = None if everyone or dids else sample or _SAMPLE
    with (
        TemporaryDirectory(prefix="holdfast-verify-", dir=scratch) as directory,
        progress_bars() as progress,
    ):
        work = _Work(
            source, dict(variables), settings, identity, Path(directory), progress, frozenset(dids)
        )
        outcome = _run(work, count)
    if as_json:
        print_json(outcome.to_json())
    else:
        outcome.print()
    sys.exit(0 if outcome.is_sound else 1)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What was restored, and what the checks have found in it."""

    verification: Verification
    findings: tuple[Finding, ...]
    without_keys: bool

    @property
    def is_sound(self) -> bool:
        return self.verification.is_sound and not self._problems("error")

    def _problems(self, *statuses: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.status in statuses]

    def to_json(self) -> dict[str, Any]:
        return {
            "sound": self.is_sound,
            **self.verification.to_json(),
            "keysChecked": not self.without_keys,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def print(self) -> None:
        verification = self.verification
        for line in verification.report.lines():
            say(line)
        problems = self._problems("error", "warning")
        if problems:
            rows = ((one.status, one.check, one.subject, one.message) for one in problems)
            print_table("Checks", _COLUMNS, rows)
        _say_all(
            "The replica lacks changes of these accounts that are over a minute old:",
            (f"{one.did}, for {one.late_s:.0f} s" for one in verification.late),
        )
        _say_all(
            "The replica has newer commits of these accounts than the live files:",
            (verification.ahead),
        )
        if self.without_keys:
            note("signing keys were not checked; --identity opens them.")
        wrong = len(self._problems("error"))
        accounts = counted(len(verification.dids), "account")
        compared = f"{verification.compared:,} compared with the live files"
        verdict = "Sound" if self.is_sound else f"Problems found, {wrong:,} of them in the checks"
        say(f"{verdict}: {accounts} restored, {compared}.")


def _say_all(title: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        if not number:
            say(title)
        say(f"  {line}")


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be verified, and with what."""

    source: str
    variables: dict[str, str]
    settings: Settings
    identity: Path | None
    scratch: Path
    progress: Progress
    dids: frozenset[str]

    async def restore(self, sample: int | None) -> tuple[Verification, bool]:
        """Restore, and return whether keys were left out for lack of an identity."""
        async with open_replica(self.source, self.variables, identity=self.identity) as replica:
            verifier = Verifier(
                replica.place,
                replica.source,
                self.scratch,
                RestoreTarget.of_settings(self.settings),
                self.variables,
                opener=replica.opener,
                progress=self.progress,
            )
            keys = not replica.lacks_identity
            done = await verifier.verify(
                sample=sample, dids=self.dids or None, options=RestoreOptions(keys=keys)
            )
            return done, not keys

    def examine(self, verification: Verification, *, without_keys: bool) -> tuple[Finding, ...]:
        """Check what was restored."""
        settings, _ = read_unchecked(verification.environ)
        keys = self.settings if without_keys else settings
        copy = Copy(
            settings,
            verification.dids,
            is_whole=not verification.is_sample,
            keys=ActorLayout(keys.actors_directory),
        )
        return tuple(copy.examine(self.progress))


def _run(work: _Work, sample: int | None) -> _Outcome:
    try:
        verification, without_keys = asyncio.run(work.restore(sample))
        findings = work.examine(verification, without_keys=without_keys)
    except KeyboardInterrupt:
        raise CommandFailed("Interrupted. Nothing is left behind.", status=INTERRUPTED) from None
    return _Outcome(verification, findings, without_keys)
