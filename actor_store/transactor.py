"""`ActorStoreTransactor`: changes to one actor, including commits to its repo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from actor_store.blobs import BlobChanges, BlobTransactor, TempRef
from actor_store.blocks import NodeCache, RepoTransactor
from actor_store.bulk_rows import BulkRows
from actor_store.errors import (
    ActorStoreDamaged,
    RecordExists,
    RecordNotFound,
    RepoExists,
    SwapMismatch,
    TooManyWrites,
)
from actor_store.preferences import PreferenceTransactor
from actor_store.quota import check_writes
from actor_store.reader import ActorStoreReader
from actor_store.records import RecordTransactor
from actor_store.usage import UsageReader
from actor_store.writes import MAX_EVENT_BYTES, MAX_WRITES, UNSET, PreparedWrite
from database.connection import Database
from database.timestamps import now_iso
from repo.car import car_bytes
from repo.cid import Cid
from repo.commit import CommitData, Head, build_commit
from repo.keys import PrivateKey
from repo.mst import InvalidMst, KeyExists, KeyMissing, MissingBlock, Mst, NodeTooLarge
from repo.mst.key import encode_key
from repo.tid import TidClock

_BLOB_MARK: Final = b"mimeType"
"""Every record that refers to a blob, typed or legacy, has this key."""


@dataclass(slots=True, frozen=True)
class Signing:
    """The sources of a commit's rev and signature."""

    clock: TidClock
    get_key: Callable[[str], PrivateKey]
    """Returns the signing key of a DID."""


class ActorStoreTransactor(ActorStoreReader):
    """Everything `ActorStore.transact` lends to its callback, valid only while that runs."""

    __slots__ = ("_db", "_find_quota", "_nodes", "_signing", "leftovers")

    repo: RepoTransactor
    record: RecordTransactor
    blob: BlobTransactor
    pref: PreferenceTransactor
    leftovers: list[BlobChanges]
    """Bytes of blobs that `ActorStore` deletes once the transaction has been committed."""

    def __init__(
        self,
        did: str,
        db: Database,
        nodes: NodeCache,
        signing: Signing,
        find_quota: Callable[[str], int | None],
    ) -> None:
        """`find_quota` returns the quota of a DID in bytes; None for no limit."""
        self.did = did
        self.repo = RepoTransactor(db, did, nodes)
        self.record = RecordTransactor(db, did)
        self.blob = BlobTransactor(db)
        self.pref = PreferenceTransactor(db)
        self.usage = UsageReader(db, self.record, self.blob)
        self.leftovers = []
        self._db = db
        self._nodes = nodes
        self._signing = signing
        self._find_quota = find_quota

    @property
    def quota_bytes(self) -> int | None:
        """The actor's quota in bytes; None for no limit."""
        return self._find_quota(self.did)

    def create_repo(self) -> CommitData:
        """Create the first commit, of a repository without records. Raises `RepoExists`."""
        if self.repo.find_head() is not None:
            raise RepoExists(self.did)
        data = self._build(None, Mst.empty(self.repo, cache=self._nodes), (), None)
        self._store(data, (), ())
        return data

    def commit(
        self,
        writes: Sequence[PreparedWrite],
        *,
        swap_commit: Cid | None = None,
        made_permanent: Iterable[TempRef] = (),
    ) -> CommitData | None:
        """Apply `writes` in order as one commit.

        Returns None, and changes nothing, if no record would change: consumers that verify commits
        treat one without operations as faulty. `swap_commit`, if given, must be the current commit.
        `made_permanent` are the temporary blobs whose bytes the caller has made permanent. Raises
        `QuotaExceeded`, `SwapMismatch`, `RecordExists`, `RecordNotFound`, `TooManyWrites`,
        `RepoNotFound`, `ActorStoreDamaged`, what `BlobTransactor.apply_writes` raises, and
        `InvalidMst` for an impossible record key or, as `NodeTooLarge`, for malicious ones.
        """
        quota_bytes = self.quota_bytes
        if quota_bytes is not None:
            check_writes(self, quota_bytes, writes)
        head = self.repo.head()
        if swap_commit is not None and swap_commit != head.cid:
            raise SwapMismatch(expected=swap_commit, current=head.cid, kind="Commit")
        data = self._build(head, self.repo.tree(head), writes, head.rev)
        # Equal records have equal trees.
        if data.data == data.prev_data:
            return None
        self._store(data, writes, made_permanent)
        return data

    def recommit(self, *, above_rev: str | None = None) -> CommitData:
        """Create a new commit of the same records.

        `above_rev` is a rev that consumers have seen, in case the store lost that commit. Raises
        `RepoNotFound` and `ActorStoreDamaged`.
        """
        head = self.repo.head()
        data = self._build(head, self.repo.tree(head), (), max(head.rev, above_rev or ""))
        self._store(data, (), ())
        return data

    def renew_commit(self) -> Head:
        """Create a new commit of the same records if consumers could not verify the current one.

        That is the case after an import: the commit was signed elsewhere, or has another rev than
        the one stored here. Returns the current head. Raises like `recommit`.
        """
        head = self.repo.head()
        commit = self.repo.read_commit(head.cid)
        if commit.rev == head.rev and commit.verify(self._signing.get_key(self.did).public):
            return head
        data = self.recommit(above_rev=commit.rev)
        return Head(data.cid, data.rev)

    def bulk_rows(self) -> BulkRows:
        """Return a writer of rows by the thousand; only once per connection."""
        return BulkRows(self._db, self.did)

    def next_rev(self, above: str) -> str:
        """Return a new rev greater than `above`."""
        return self._signing.clock.next_rev(above)

    def _build(
        self, head: Head | None, tree: Mst, writes: Sequence[PreparedWrite], last_rev: str | None
    ) -> CommitData:
        """Build the commit, if it fits in an event. Nothing is stored yet."""
        if len(writes) > MAX_WRITES:
            raise TooManyWrites(f"Max: {MAX_WRITES}")
        for write in writes:
            encode_key(write.path)
        try:
            _check_swaps(tree, writes)
            data = build_commit(
                self.did,
                tree=tree,
                head=head,
                writes=writes,
                rev=self._signing.clock.next_rev(last_rev),
                key=self._signing.get_key(self.did),
            )
        except KeyExists as exc:
            raise RecordExists(f"at://{self.did}/{exc.key}") from exc
        except KeyMissing as exc:
            raise RecordNotFound(f"at://{self.did}/{exc.key}") from exc
        except NodeTooLarge:
            raise
        except (InvalidMst, MissingBlock) as exc:
            raise ActorStoreDamaged(self.did, str(exc)) from exc
        if car_bytes((data.cid,), data.event_blocks.items()) > MAX_EVENT_BYTES:
            raise TooManyWrites("Max event size: 2MB")
        return data

    def _store(
        self,
        data: CommitData,
        writes: Sequence[PreparedWrite],
        made_permanent: Iterable[TempRef],
    ) -> None:
        now = now_iso()
        prevs = [op.prev for op in data.ops if op.prev is not None]
        if prevs or any(write.blobs for write in writes):
            # Before the old records' blocks are deleted: they show which records had blobs.
            self._update_blobs(data, writes, made_permanent)
        self._index(writes, data.rev, now)
        # Delete first, so that the new blocks fit on pages that are being written anyway.
        self.repo.delete_blocks(data.removed_cids)
        self.repo.put_blocks(data.new_blocks.items(), data.rev)
        if prevs:
            self.repo.delete_unused_records(prevs)
        self.repo.set_head(Head(data.cid, data.rev), data=data.data, indexed_at=now)

    def _index(self, writes: Sequence[PreparedWrite], rev: str, now: str) -> None:
        record = self.record
        for write in writes:
            collection, rkey = write.collection, write.rkey
            if write.action != "create":
                record.remove_backlinks(collection, rkey)
            if write.cid is None:
                record.remove(collection, rkey)
                continue
            record.index(collection, rkey, cid=write.cid, rev=rev, indexed_at=now)
            if write.backlinks:
                record.add_backlinks(collection, rkey, write.backlinks)

    def _update_blobs(
        self,
        data: CommitData,
        writes: Sequence[PreparedWrite],
        made_permanent: Iterable[TempRef],
    ) -> None:
        # record_blob has no index by record, so finding the old records' blobs reads the whole
        # table: do it only for records that can have blobs.
        replaced = [
            f"at://{self.did}/{op.path}"
            for op in data.ops
            if op.prev is not None and self._may_have_blobs(op.prev)
        ]
        last = {write.path: write for write in writes}
        refs = [
            (self.record.uri(write.collection, write.rkey), blob)
            for write in last.values()
            for blob in write.blobs
        ]
        if not (replaced or refs):
            return
        changes = self.blob.apply_writes(
            replaced_uris=replaced, refs=refs, made_permanent=made_permanent
        )
        if changes.unused or changes.orphaned_keys:
            self.leftovers.append(changes)

    def _may_have_blobs(self, cid: Cid) -> bool:
        block = self.repo.find_blocks((cid,)).get(cid)
        return block is not None and _BLOB_MARK in block


def _check_swaps(tree: Mst, writes: Sequence[PreparedWrite]) -> None:
    for write in writes:
        expected = write.swap_record
        if expected is UNSET:
            continue
        current = tree.get(write.path)
        if current != expected:
            raise SwapMismatch(expected=expected, current=current, kind="Record")
