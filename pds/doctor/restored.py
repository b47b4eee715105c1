"""The checks of files alone, for a copy that a restore has made beside the server's own files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actor_store.layout import ActorLayout
from pds.config import Settings
from pds.doctor.accounts import read_accounts
from pds.doctor.actor import ActorFiles, ActorReport
from pds.doctor.actors import check_actors, count_processes, summarize
from pds.doctor.agreement import Comparison
from pds.doctor.event_log import read_event_log
from pds.doctor.finding import Finding
from pds.reporting import Progress


@dataclass(frozen=True, slots=True)
class Copy:
    """A data directory that no server has used."""

    settings: Settings
    """Those of the server, with the locations of the copy."""
    dids: Sequence[str]
    """The accounts to check."""
    is_whole: bool
    """Whether these are all accounts; in a sample, the others have no stores."""
    keys: ActorLayout
    """Where the signing keys are: in the copy, or where it has none, in the original."""

    def examine(self, progress: Progress) -> Iterator[Finding]:
        """Check the databases of the server and those accounts. Blocks; changes no file."""
        settings = self.settings
        accounts = read_accounts(settings.account_db_path, is_hold=settings.is_hold)
        yield from accounts.findings
        log = read_event_log(
            settings.sequencer_db_path, lambda done, total: progress("events", done, total)
        )
        yield from log.findings
        reports = tuple(self._check_actors(progress))
        for report in reports:
            yield from report.findings
        yield from summarize(reports, settings.actors_directory, blobs_rehashed=True)
        if self.is_whole:
            yield from Comparison(
                settings,
                ActorLayout(settings.actors_directory),
                accounts,
                log,
                reports,
                in_use=False,
                # The first start on a copy recovers, whatever the log says.
                is_unclean=True,
            ).findings()

    def _check_actors(self, progress: Progress) -> Iterator[ActorReport]:
        layout = ActorLayout(self.settings.actors_directory)
        actors = [
            ActorFiles(
                did,
                layout.store(did),
                self.keys.key(did),
                self.settings.blob_directory,
                rehash_blobs=True,
            )
            for did in self.dids
        ]
        progress("repositories", 0, len(actors))
        checked = check_actors(actors, processes=count_processes(actors))
        for done, report in enumerate(checked, 1):
            progress("repositories", done, len(actors))
            yield report
