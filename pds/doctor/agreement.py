"""Whether the files agree with each other, even while a server changes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actor_store.layout import ActorLayout
from database.connection import Database
from database.errors import DatabaseError
from pds.config import Settings
from pds.disk.data_directory import CHECK_FILE
from pds.doctor.accounts import Accounts, match_stores, read_accounts
from pds.doctor.actor import ActorReport
from pds.doctor.event_log import EventLogState, find_last_rev
from pds.doctor.finding import Finding
from pds.doctor.heads import CHECK as HEADS
from pds.doctor.heads import Standing, judge
from pds.doctor.inspection import examine_unchanged
from pds.doctor.repo import RepoHead, find_head
from pds.reporting import counted

_CATCH_UP_S: Final = 2.5
"""Longer than a running server takes to write a head to the service database."""


@dataclass(slots=True, frozen=True)
class Comparison:
    """The data to compare. `pause` waits for a number of seconds."""

    settings: Settings
    layout: ActorLayout
    accounts: Accounts
    log: EventLogState
    reports: tuple[ActorReport, ...]
    in_use: bool
    """Whether a server may have written meanwhile; then only a lasting difference counts."""
    is_unclean: bool
    """Whether the next start will recover unfinished work of the last run."""
    pause: Callable[[float], None] = time.sleep

    def findings(self) -> Iterator[Finding]:
        """Yield accounts and stores without their counterpart, and heads that differ."""
        if self.accounts.is_readable:
            yield from self._match()
            yield from self._compare_heads()

    def _match(self) -> list[Finding]:
        actors = self.settings.actors_directory
        found = match_stores(self.accounts, directories_of(self.layout), actors)
        if not found or not self.in_use:
            return found
        # An account being created or deleted briefly has a store but no rows.
        self.pause(_CATCH_UP_S)
        accounts = read_accounts(self.settings.account_db_path)
        again = match_stores(accounts, directories_of(self.layout), actors)
        return [finding for finding in found if finding in again]

    def _compare_heads(self) -> list[Finding]:
        if not self.log.is_readable:
            return []
        heads = {
            report.did: report.head
            for report in self.reports
            if report.head is not None and report.did in self.accounts.rows
        }
        standings = [self._standing(did, head) for did, head in heads.items()]
        found = self._judged(standings)
        if found and self.in_use:
            self.pause(_CATCH_UP_S)
            suspects = {did: heads[did] for did in found}
            found = self._judged(self._read_again(suspects))
        agreeing = len(heads) - len(found)
        if agreeing:
            message = f"store, event log and listRepos agree on {counted(agreeing, 'account')}"
            return [*found.values(), Finding.ok(HEADS, self.settings.sequencer_db_path, message)]
        return list(found.values())

    def _judged(self, standings: Iterable[Standing]) -> dict[str, Finding]:
        settings = self.settings
        found = {
            each.did: judge(
                each,
                log=settings.sequencer_db_path,
                accounts=settings.account_db_path,
                check_file=settings.data_directory / CHECK_FILE,
                is_unclean=self.is_unclean,
            )
            for each in standings
        }
        return {did: finding for did, finding in found.items() if finding is not None}

    def _standing(self, did: str, head: RepoHead) -> Standing:
        return Standing(
            did,
            self.layout.store(did),
            before=head,
            now=head,
            log_rev=self.log.revs.get(did),
            root=self.accounts.roots.get(did),
            is_active=not self.accounts.rows[did].is_deactivated,
        )

    def _read_again(self, heads: dict[str, RepoHead]) -> Iterator[Standing]:
        """Read in the reverse order of a commit's writes: what is read later may be newer."""
        accounts = read_accounts(self.settings.account_db_path)
        revs = _last_revs(self.settings.sequencer_db_path, heads)
        for did, before in heads.items():
            store = self.layout.store(did)
            now = _head_now(store, did)
            # Skip an account deleted in the meantime.
            if now is not None and did in accounts.rows:
                yield Standing(
                    did,
                    store,
                    before=before,
                    now=now,
                    log_rev=revs.get(did),
                    root=accounts.roots.get(did),
                    is_active=not accounts.rows[did].is_deactivated,
                )


def directories_of(layout: ActorLayout) -> dict[str, Path]:
    """Return the directory of every DID that has a store."""
    return {did: layout.directory(did) for did in sorted(layout.iter_dids())}


def _last_revs(log: Path, dids: Iterable[str]) -> dict[str, str]:
    def read(db: Database) -> dict[str, str]:
        found = {did: find_last_rev(db, did) for did in dids}
        return {did: rev for did, rev in found.items() if rev is not None}

    try:
        return examine_unchanged(log, read)
    except DatabaseError:
        return {}


def _head_now(store: Path, did: str) -> RepoHead | None:
    try:
        return examine_unchanged(store, lambda db: find_head(db, did))
    except DatabaseError:
        return None
