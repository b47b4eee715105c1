"""Copying signing keys and other secrets to the replica, sealed.

A database without its key is a repository that can never sign again, so `copy_key` is awaited
before a database is synced for the first time. Everything else is found by a slow sweep.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from actor_store.errors import InvalidStoreName
from actor_store.keyed_locks import KeyedLocks
from database.errors import DatabaseError
from database.retry import when_free
from pds.replication.copies.at_once import for_each
from pds.replication.copies.key_files import SECRET_FILES, UnusableKeyFile, copy_name
from pds.replication.copies.key_rows import KeyKind, KeyRow
from pds.replication.copies.pace import BackOff, Pace
from pds.replication.copies.problems import Problems
from pds.replication.errors import ReplicationError
from pds.replication.replica.manifest import CLEAR
from pds.replication.replica.names import SEALED

if TYPE_CHECKING:
    from pds.replication.copies.key_files import KeyFiles
    from pds.replication.copies.key_rows import KeyRows
    from pds.replication.copies.signature import Signature
    from pds.replication.replica.place import ReplicaPlace

_AT_ONCE: Final = 8
_CHUNK: Final = 500
_SWEEP_EVERY_S: Final = 600.0
_LOOK_EVERY_S: Final = 2.0
"""How often new reserved keys are looked for: a client gets them, and puts them into a DID."""
_SLACK_S: Final = 3600
"""How much longer than databases their keys are kept, so that no database is without."""

_log = structlog.get_logger(__name__)


class Sealer(Protocol):
    """What protects a secret: see `sealing`."""

    suffix: str

    def seal(self, data: bytes) -> bytes: ...


class KeyCopier:
    """Keeps the copies of all secrets. Belongs to one event loop."""

    def __init__(
        self,
        files: KeyFiles,
        rows: KeyRows,
        place: ReplicaPlace,
        sealer: Sealer,
        *,
        recipient: str | None,
        retention_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`recipient` is the age recipient to whom `sealer` seals; None in the clear.

        A copy is removed `retention_s` after its file is gone. `clock` returns Unix seconds.
        """
        self._files = files
        self._rows = rows
        self._place = place
        self._sealer = sealer
        self._sealing = CLEAR if recipient is None else _short(recipient)
        self._retention_s = retention_s
        self._clock = clock
        self._locks = KeyedLocks()
        self._reserved_mtime_ns: int | None = None
        self.copied = 0
        """Files copied since the start."""
        self.problems = Problems()
        """Local files that cannot be copied."""
        self.error: str | None = None
        """Why the last sweep failed; None if it did not."""

    async def copy_key(self, did: str) -> None:
        """Copy an actor's key unless the replica has it.

        A key that is missing or damaged here is a problem of its own, and no error. Raises
        `ReplicationError`s of the place, and `DatabaseError`s of the ledger.
        """
        await self._copy(KeyKind.ACTOR, did)

    async def run(self) -> None:
        """Look for what `copy_key` is not asked for, until cancelled."""
        back_off, next_s = BackOff(), 0.0
        while True:
            try:
                if time.monotonic() >= next_s:
                    await self.sweep()
                    next_s = time.monotonic() + _SWEEP_EVERY_S
                else:
                    await self.copy_new_reserved()
            except (ReplicationError, DatabaseError, OSError) as exc:
                self.error = str(exc)
                _log.warning("keys cannot be copied to the replica", error=self.error)
                await back_off.wait()
                continue
            self.error = None
            back_off.reset()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def sweep(self) -> None:
        """Compare all files with the ledger: copy what it lacks, remove what is long gone.

        Raises what `copy_key` raises, and `OSError`.
        """
        for name in SECRET_FILES:
            await self._copy(KeyKind.FILE, name)
        await self.copy_new_reserved(always=True)
        await self._sweep_actors()
        await self._find_gone()
        await self._remove_expired()

    async def copy_new_reserved(self, *, always: bool = False) -> None:
        """Copy the reserved keys that are new; cheap while there are none.

        Raises what `sweep` raises.
        """
        mtime_ns = await asyncio.to_thread(self._files.reserved_mtime_ns)
        if not always and mtime_ns == self._reserved_mtime_ns:
            return
        names = await asyncio.to_thread(self._files.list_reserved)
        for name in names:
            await self._copy(KeyKind.RESERVED, name)
        # A key that comes right after the listing may leave the directory's time as it is.
        is_old = mtime_ns is None or mtime_ns < (time.time() - _LOOK_EVERY_S) * 1e9
        self._reserved_mtime_ns = mtime_ns if is_old else None

    async def _sweep_actors(self) -> None:
        chunks = self._files.chunks(_CHUNK)
        while True:
            async with Pace():
                chunk = await asyncio.to_thread(next, chunks, None)
                if chunk is None:
                    return
                changed = [did for did, found in chunk if self._is_changed(did, found)]
            await for_each(changed, self.copy_key, at_once=_AT_ONCE)

    def _is_changed(self, did: str, found: Signature | None) -> bool:
        row = self._rows.find(KeyKind.ACTOR, did)
        return found is None or row is None or not self._is_current(row, found)

    def _is_current(self, row: KeyRow, found: Signature) -> bool:
        return row.signature == found and row.sealing == self._sealing and row.gone_s is None

    async def _copy(self, kind: KeyKind, name: str) -> None:
        """Copy a file unless the replica has it, or note why it cannot be copied."""
        try:
            found = self._files.find_signature(kind, name)
            if found is None:
                self._note_missing(kind, name)
                return
            row = self._rows.find(kind, name)
            if row is None or not self._is_current(row, found):
                async with self._locks[f"{kind} {name}"]:
                    await self._copy_changed(kind, name)
        except FileNotFoundError:
            return
        except (UnusableKeyFile, InvalidStoreName) as exc:
            self._note(kind, name, str(exc))
            return
        self.problems.clear(f"{kind} {name}")

    async def _copy_changed(self, kind: KeyKind, name: str) -> None:
        contents = self._files.read(kind, name)
        before = self._rows.find(kind, name)
        row = KeyRow(kind, name, contents.signature, contents.digest, self._sealing)
        is_same = before is not None and before.digest and before.digest == row.digest
        if before is None or not is_same or before.sealing != row.sealing:
            sealed = self._sealer.seal(contents.data)
            await self._place.write(copy_name(kind, name) + self._sealer.suffix, sealed)
            self.copied += 1
        if before is not None and _copied_as(before) != _copied_as(row):
            # Copies in the clear must not outlive the decision to seal them.
            await self._place.delete([_copied_as(before)])
        await when_free(lambda: self._rows.put(row))

    async def _find_gone(self) -> None:
        if not await asyncio.to_thread(self._files.has_actors):
            # A disk that is not mounted looks like this, and nothing may be removed for that.
            return
        for kind in (KeyKind.ACTOR, KeyKind.RESERVED):
            after = ""
            while page := self._rows.page(kind, after=after, limit=_CHUNK):
                async with Pace():
                    gone = await asyncio.to_thread(self._gone_of, kind, page)
                    now_s = int(self._clock())
                    for name in gone:
                        self.problems.clear(f"{kind} {name}")
                    await when_free(lambda: self._rows.mark_gone(kind, gone, now_s=now_s))  # noqa: B023 - it runs before the next turn
                after = page[-1]

    def _gone_of(self, kind: KeyKind, names: Sequence[str]) -> list[str]:
        """Those without a file. The copy of a lost key is kept for as long as its actor is here."""
        return [
            name
            for name in names
            if not self._files.exists(kind, name)
            and not (kind is KeyKind.ACTOR and self._files.has_store(name))
        ]

    async def _remove_expired(self) -> None:
        before_s = int(self._clock() - self._retention_s - _SLACK_S)
        while expired := self._rows.expired(before_s=before_s, limit=_CHUNK):
            await for_each(expired, self._remove, at_once=_AT_ONCE)

    async def _remove(self, row: KeyRow) -> None:
        """Remove the copy of a file that is gone; keep it if the file has come back."""
        async with self._locks[f"{row.kind} {row.name}"]:
            if self._files.exists(row.kind, row.name):
                await when_free(lambda: self._rows.put(replace(row, gone_s=None)))
                return
            await self._place.delete([_copied_as(row)])
            await when_free(lambda: self._rows.delete([row]))

    def _note_missing(self, kind: KeyKind, name: str) -> None:
        if kind is KeyKind.ACTOR and self._files.has_store(name):
            path = self._files.path(kind, name)
            self._note(kind, name, f"{path} is missing: `pds key rotate {name}` makes a new key")

    def _note(self, kind: KeyKind, name: str, text: str) -> None:
        if self.problems.add(f"{kind} {name}", text):
            _log.warning("a key cannot be copied to the replica", problem=text)


def _copied_as(row: KeyRow) -> str:
    return copy_name(row.kind, row.name) + ("" if row.sealing == CLEAR else SEALED)


def _short(recipient: str) -> str:
    return hashlib.sha256(recipient.encode()).hexdigest()[:12]
