"""Copying a repository from its server: everything, or what an older copy lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from identity.signers import NotSigned, find_signer
from pds.car.account_lookup import Account
from pds.car.canonical import MarkableBlocks, OnRecord, iter_car
from pds.car.download import Download, MergedBlocks, download
from pds.car.errors import ExportFailed
from pds.car.remote import Retries
from pds.car.repo_file import RepoFile, record_block
from pds.reporting import Progress
from repo.cid import Cid
from repo.commit import Commit
from repo.mst import MstError
from repo.verify import InvalidRepo, read_commit

WRITING: Final = "writing"

Write: TypeAlias = Callable[[Iterable[bytes]], None]
"""Writes a CAR given in parts. If producing them fails, the previous file must remain."""


@dataclass(slots=True, frozen=True)
class Exported:
    """The current copy."""

    root: Cid
    commit: Commit
    change: str
    """A description of what was done."""


@dataclass(slots=True, frozen=True)
class Export:
    """One export: its source and options."""

    account: Account
    write: Write
    spool_directory: Path | None
    """Where to store received data temporarily; None for the system's temporary directory."""
    on_record: OnRecord
    note: Callable[[str], None]
    """Called with information for the user."""
    retries: Retries
    progress: Progress

    async def run(self, old: RepoFile | None) -> Exported:
        """Create a copy, or update `old`. Raises `ExportFailed`."""
        if old is None:
            return await self._fetch(None)
        if old.commit.did != self.account.did:
            raise ExportFailed(
                f"The file has the repository of {old.commit.did}, not of {self.account.did}: "
                "name another file."
            )
        try:
            if await self._is_current(old):
                return await self._keep(old)
            return await self._fetch(old)
        except (InvalidRepo, MstError) as exc:
            self.note(f"The file is not complete ({exc}): fetching everything.")
            return await self._fetch(None)

    async def _is_current(self, old: RepoFile) -> bool:
        """Whether `old` has the server's latest commit. Raises `ExportFailed` if that is older."""
        pds, did = self.account.pds, self.account.did
        latest = await self.retries.run(
            lambda: pds.query("com.atproto.sync.getLatestCommit", did=did)
        )
        try:
            cid, rev = str(latest["cid"]), str(latest["rev"])
        except (KeyError, TypeError) as exc:
            raise ExportFailed(f"{pds.url} does not say which commit of {did} is current") from exc
        if cid == str(old.root):
            return True
        if rev <= old.commit.rev:
            raise ExportFailed(
                f"{pds.url} has an older state, rev {rev}, than the file, rev {old.commit.rev}. "
                "The file is as it was; to have that state, name another one."
            )
        return False

    async def _keep(self, old: RepoFile) -> Exported:
        """Check every record of a current copy. Raises `InvalidRepo` and `MstError`."""
        await self._check_commit(old.root, old.commit)
        for record in old.iter_records():
            self.on_record(record, record_block(record, old.blocks))
        return Exported(old.root, old.commit, "up to date already")

    async def _fetch(self, old: RepoFile | None) -> Exported:
        """Fetch and write the copy. Raises `InvalidRepo` and `MstError` only if `old` is given."""
        received = await download(
            self.account,
            since=None if old is None else old.commit.rev,
            directory=self.spool_directory,
            retries=self.retries,
            progress=self.progress,
        )
        with received:
            if old is not None:
                blocks: MarkableBlocks = MergedBlocks(received.blocks, old.blocks)
                return await self._write(received, blocks, change="updated")
            try:
                return await self._write(received, received.blocks, change="fetched")
            except (InvalidRepo, MstError) as exc:
                reason = f"{self.account.pds.url} sends no sound repository: {exc}"
                raise ExportFailed(reason) from exc

    async def _write(self, received: Download, blocks: MarkableBlocks, *, change: str) -> Exported:
        commit, block = read_commit(received.root, blocks)
        await self._check_commit(received.root, commit)
        parts = iter_car(
            received.root, block, data=commit.data, blocks=blocks, on_record=self.on_record
        )
        self.write(self._watched(parts))
        return Exported(received.root, commit, change)

    async def _check_commit(self, root: Cid, commit: Commit) -> None:
        account = self.account
        if commit.did != account.did:
            raise ExportFailed(f"{account.pds.url} sends the repository of {commit.did}")
        if account.key is None:
            return
        try:
            await find_signer(root, commit, [account.key], account.plc)
        except NotSigned as exc:
            raise ExportFailed(f"{exc}. --ignore-signature takes it anyway.") from exc

    def _watched(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for number, part in enumerate(parts):
            if number % 1000 == 0:
                self.progress(WRITING, number, 0)
            yield part
