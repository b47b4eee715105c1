"""What a restore brought back, and what the replica lacked: for people and as JSON.

What was found of databases is also kept beside the marker while a restore runs: one that goes on
does not look at them again. A database without such a note is restored anew: the process may have
been killed before it could tell what the replica lacked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TextIO

import orjson

from pds.replication.restore.database import Outcome
from pds.replication.restore.options import time_text
from pds.reporting import counted, format_size, printable

_EXAMPLES: Final = 10
"""Findings of one kind that the text names; JSON has all."""
_MOST_NOTES_BYTES: Final = 1 << 30


class Lack(StrEnum):
    """Kinds of findings."""

    SERVICE = "service database"
    UNKNOWN = "unknown account"
    NO_DATABASE = "account without database"
    OLDER_STATE = "older state"
    SPARED = "damaged file"
    PENDING = "changes not replicated"
    UNREADABLE = "unreadable database"
    NO_KEY = "account without key"
    DAMAGED_KEY = "damaged key"
    BLOB = "missing blob"
    DAMAGED_BLOB = "damaged blob"
    DAMAGED_LAYER = "damaged layer"
    NO_ACCOUNT = "database without account"


MEANINGS: Final[dict[Lack, tuple[str, str]]] = {
    Lack.SERVICE: (
        "The replica has no usable copy of these databases of the server",
        "The server makes new ones. Without the event log, relays may need `pds sequencer raise`.",
    ),
    Lack.UNKNOWN: (
        "The replica has no files of these accounts",
        (
            "Compare the DIDs with `pds account list`. Files of a deleted account stay in the "
            "replica for PDS_REPLICATION_RETENTION_DAYS."
        ),
    ),
    Lack.NO_DATABASE: (
        "These accounts have no usable database in the replica",
        (
            "Take store.sqlite from another backup. Until then the server answers 503 "
            "RepoUnavailable for them, and serves the others."
        ),
    ),
    Lack.OLDER_STATE: (
        "These databases are older than the replica, because files of it are damaged or missing",
        "Nothing has to be done. Consumers of the firehose are told of the state as it is now.",
    ),
    Lack.SPARED: (
        "Files of these databases are damaged, and others could stand in for them",
        "Nothing is lost. Replicate to another place, or empty this one and start anew.",
    ),
    Lack.PENDING: (
        "These accounts had changes that did not reach the replica",
        "They are lost. Consumers of the firehose are told of the state as it is now.",
    ),
    Lack.UNREADABLE: (
        "These databases are as the replica has them, and SQLite cannot read them",
        "Restore them as of an earlier time with `--timestamp`, an account alone with `--did`.",
    ),
    Lack.NO_KEY: (
        "These accounts have no signing key in the replica",
        "They can be read, not written to. `pds key rotate DID` gives an account a new key.",
    ),
    Lack.DAMAGED_KEY: (
        "The signing keys of these accounts cannot be decrypted, or are no keys",
        "They can be read, not written to. `pds key rotate DID` gives an account a new key.",
    ),
    Lack.BLOB: (
        "The replica lacks blobs of these accounts",
        "getBlob answers 404 for them. `pds doctor` names them.",
    ),
    Lack.DAMAGED_BLOB: (
        "Blobs of these accounts are damaged in the replica, and were left out",
        "getBlob answers 404 for them. `pds doctor` names them.",
    ),
    Lack.DAMAGED_LAYER: (
        "Layers of the hold are damaged in the replica, and were left out",
        "Push the images that have them again; `pds hold gc --check-manifests` names those.",
    ),
    Lack.NO_ACCOUNT: (
        "These databases belong to no account of account.sqlite",
        "They were made just before the end, or account.sqlite is older. They are kept.",
    ),
}


@dataclass(slots=True, frozen=True)
class Finding:
    """Something that the replica lacked, or had in a damaged form."""

    kind: Lack
    subject: str
    """A DID, or the name of a database."""
    detail: str = ""

    def to_json(self) -> dict[str, str]:
        """Return its fields."""
        return {"kind": self.kind.value, "subject": self.subject, "detail": self.detail}


@dataclass(slots=True)
class Totals:
    """Counts of what was restored, by this run and those that it goes on from."""

    accounts: int = 0
    """Rows of `account.sqlite`, or the accounts that were asked for."""
    databases: int = 0
    """Accounts whose database is there."""
    keys: int = 0
    reserved_keys: int = 0
    blobs: int = 0
    layers: int = 0
    """Layers of a hold."""
    deleted_accounts: int = 0
    """Databases of deleted accounts that the replica still had, which were left out."""
    later_accounts: int = 0
    """Databases that did not exist yet at the time that was asked for."""
    read_bytes: int = 0
    """Bytes read from the replica by this run."""


@dataclass(slots=True)
class RestoreReport:
    """The result of a restore."""

    source: str
    target: str
    as_of_ms: int | None = None
    is_resumed: bool = False
    totals: Totals = field(default_factory=Totals)
    findings: list[Finding] = field(default_factory=list)
    off_ms: dict[str, int] = field(default_factory=dict)
    """Databases that may lack some writes before the time that was asked for, because the replica
    has merged those with later ones: how many milliseconds before it that may begin."""
    newest_ms: int = 0
    """Time of the newest change that was restored, in Unix milliseconds; 0 if unknown."""
    next_steps: list[str] = field(default_factory=list)
    """What the operator does next, a sentence each."""
    took_s: float = 0.0
    _journal: TextIO | None = None
    _noted: set[str] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        """Whether the replica lacked nothing."""
        return not self.findings

    def open_journal(self, path: Path, *, keep: bool) -> None:
        """Keep notes of databases in a file from now on, after those that it has, or anew.

        Everything else is found again by a run that goes on.
        """
        for name, outcome in _read_notes(path) if keep else ():
            self.note(name, outcome)
        self._journal = path.open("a" if keep else "w", encoding="utf-8")

    def close_journal(self) -> None:
        """Close the file. May be repeated."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def is_noted(self, name: str) -> bool:
        """Whether a database was restored by this run, or by one that it goes on from."""
        return name in self._noted

    def note(self, name: str, outcome: Outcome) -> None:
        """Note a database that was restored; `name` is a DID, or that of a service database."""
        self._noted.add(name)
        self.newest_ms = max(self.newest_ms, outcome.newest_ms)
        if outcome.has_lost:
            self.add(Lack.OLDER_STATE, name, outcome.reason)
        elif outcome.reason:
            self.add(Lack.SPARED, name, outcome.reason)
        if outcome.off_ms:
            self.off_ms[name] = outcome.off_ms
        if outcome.pending_since_ms:
            self.add(Lack.PENDING, name, f"since {time_text(outcome.pending_since_ms)}")
        if self._journal is not None:
            line = orjson.dumps({"name": name, "outcome": outcome}).decode()
            self._journal.write(f"{line}\n")
            self._journal.flush()

    def add(self, kind: Lack, subject: str, detail: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, subject, detail))

    def of_kind(self, kind: Lack) -> list[Finding]:
        """Return the findings of one kind."""
        return [finding for finding in self.findings if finding.kind is kind]

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "source": self.source,
            "target": self.target,
            "asOf": None if self.as_of_ms is None else time_text(self.as_of_ms),
            "newestChange": time_text(self.newest_ms) if self.newest_ms else None,
            "resumed": self.is_resumed,
            "complete": self.is_complete,
            "seconds": round(self.took_s, 3),
            "totals": asdict(self.totals),
            "counts": Counter(finding.kind.value for finding in self.findings),
            "findings": [finding.to_json() for finding in self.findings],
            "offMs": self.off_ms,
            "nextSteps": self.next_steps,
        }

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text, with the text of strangers escaped."""
        totals = self.totals
        yield f"Restored from {self.source} to {self.target} in {self.took_s:.1f} s:"
        yield f"  {counted(totals.databases, 'account')} of {totals.accounts:,}"
        yield f"  {counted(totals.keys, 'signing key')}, {totals.reserved_keys:,} reserved"
        yield f"  {counted(totals.blobs, 'blob')}"
        if totals.layers:
            yield f"  {counted(totals.layers, 'layer')} of the hold"
        yield f"  {format_size(totals.read_bytes)} read from the replica"
        if totals.deleted_accounts:
            yield f"  {counted(totals.deleted_accounts, 'deleted account')} left out"
        if self.newest_ms:
            yield f"The newest change is of {time_text(self.newest_ms)}."
        yield from self._time_lines()
        for kind, (meaning, remedy) in MEANINGS.items():
            found = self.of_kind(kind)
            if found:
                yield f"{meaning} ({len(found):,}):"
                yield from (f"  {_line(finding)}" for finding in found[:_EXAMPLES])
                if len(found) > _EXAMPLES:
                    yield f"  and {len(found) - _EXAMPLES:,} more"
                yield f"  → {remedy}"
        if self.is_complete:
            yield "The replica lacked nothing."
        yield from self.next_steps

    def _time_lines(self) -> Iterator[str]:
        if self.as_of_ms is None:
            return
        yield f"Databases are as of {time_text(self.as_of_ms)}; keys and blobs are the newest."
        if self.off_ms:
            worst = max(self.off_ms, key=self.off_ms.__getitem__)
            yield (
                f"{counted(len(self.off_ms), 'database')} may lack writes just before that, "
                f"up to {self.off_ms[worst] / 1000:.1f} s of {printable(worst)}."
            )
        else:
            yield "Each is exactly as it was then."


def _line(finding: Finding) -> str:
    return printable(f"{finding.subject}: {finding.detail}" if finding.detail else finding.subject)


def _read_notes(path: Path) -> Iterator[tuple[str, Outcome]]:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_NOTES_BYTES)
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            note = orjson.loads(line)
            yield note["name"], Outcome(**note["outcome"])
        except (ValueError, KeyError, TypeError):
            # The last line of a run that was killed may be cut off.
            continue
