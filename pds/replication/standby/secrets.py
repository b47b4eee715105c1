"""Signing keys and other secret files: opened, and stored as the server stores them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import InvalidStoreName
from database.files import sync
from pds.replication.copies.at_once import for_each
from pds.replication.copies.key_files import SECRET_FILES, copy_name
from pds.replication.copies.key_rows import KeyKind
from pds.replication.replica import names
from pds.replication.replica.manifest import CLEAR
from pds.replication.replica.place import StoredFile

if TYPE_CHECKING:
    from pds.replication.copies.key_files import KeyFiles
    from pds.replication.restore.secret_files import SecretFiles
    from pds.replication.standby.ledger_copy import LedgerCopy
    from pds.replication.standby.ledger_rows import LedgerKey

_PAGE: Final = 500
_RETRY_S: Final = 60.0
_MAX_PROBLEMS: Final = 1_000

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Problem:
    key: LedgerKey
    text: str
    retry_s: float


@dataclass(slots=True)
class Secrets:
    """The secret files of a standby."""

    files: KeyFiles
    opener: SecretFiles
    ledger: LedgerCopy
    parallelism: int
    seen: int = 0
    """The highest `changed` of the ledger up to which everything is done; 0 at each start."""
    copied: int = 0
    problems: dict[tuple[str, str], _Problem] = field(default_factory=dict)

    async def advance(self) -> None:
        """Bring all secret files as far as the ledger is.

        Raises `WrongKeySecret` if nothing can be opened, errors of the place and `OSError`.
        """
        while True:
            async with self.ledger.rows() as rows:
                page = rows.keys(after=self.seen, limit=_PAGE)
            if not page:
                break
            await for_each(page, self._apply, at_once=self.parallelism)
            self.seen = page[-1].changed
        now_s = time.monotonic()
        due = [problem.key for problem in self.problems.values() if problem.retry_s <= now_s]
        await for_each(due, self._apply, at_once=self.parallelism)

    async def _apply(self, key: LedgerKey) -> None:
        if key.kind is KeyKind.FILE and key.name not in SECRET_FILES:
            return  # Of a later version: its place is not known here.
        with suppress(InvalidStoreName):
            path = self.files.path(key.kind, key.name)
            if key.is_gone:
                await asyncio.to_thread(_delete, path)
                self.problems.pop((key.kind, key.name), None)
            elif not await asyncio.to_thread(_is_same, path, key.digest):
                await self._copy(key, path)

    async def _copy(self, key: LedgerKey, path: Path) -> None:
        suffix = "" if key.sealing == CLEAR else names.SEALED
        copy = StoredFile(copy_name(key.kind, key.name) + suffix, 0, 0.0)
        reason = await self.opener.restore([copy], path, is_key=key.kind is not KeyKind.FILE)
        place = (key.kind, key.name)
        if reason is None:
            await asyncio.to_thread(_settle, path)
            self.problems.pop(place, None)
            self.copied += 1
            return
        if place not in self.problems:
            _log.warning("a secret file cannot be copied", name=key.name, reason=reason)
        if place in self.problems or len(self.problems) < _MAX_PROBLEMS:
            self.problems[place] = _Problem(key, reason, time.monotonic() + _RETRY_S)


def _is_same(path: Path, digest: bytes) -> bool:
    """Whether a file is as the ledger has it; unknown for files whose digest it does not have."""
    try:
        return bool(digest) and hashlib.sha256(path.read_bytes()).digest() == digest
    except FileNotFoundError:
        return False


def _settle(path: Path) -> None:
    sync(path)
    sync(path.parent)


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
