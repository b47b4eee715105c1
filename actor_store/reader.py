"""`ActorStoreReader`: the readers of one actor, by concern."""

from __future__ import annotations

from actor_store.blobs import BlobReader
from actor_store.blocks import NodeCache, RepoReader
from actor_store.preferences import PreferenceReader
from actor_store.records import RecordReader
from actor_store.usage import UsageReader
from database.connection import Database


class ActorStoreReader:
    """Everything `ActorStore.read` lends to its callback, valid only while that runs."""

    __slots__ = ("blob", "did", "pref", "record", "repo", "usage")

    did: str
    repo: RepoReader
    record: RecordReader
    blob: BlobReader
    pref: PreferenceReader
    usage: UsageReader

    def __init__(self, did: str, db: Database, nodes: NodeCache) -> None:
        self.did = did
        self.repo = RepoReader(db, did, nodes)
        self.record = RecordReader(db, did)
        self.blob = BlobReader(db)
        self.pref = PreferenceReader(db)
        self.usage = UsageReader(db, self.record, self.blob)
