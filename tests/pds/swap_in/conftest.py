"""The server on a copy of the reference's data directory, and what that directory held before."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pds.dev.plc_store import PlcStore
from repo import dagcbor
from repo.keys import PublicKey, parse_did_key
from tests.pds.conftest import Account, Pds, start_pds
from tests.reference import data, plc


@dataclass(slots=True, frozen=True)
class StoredEvent:
    """A row of `repo_seq` as the reference left it."""

    seq: int
    did: str
    event_type: str
    body: bytes
    time: str

    @property
    def kind(self) -> str:
        """The `t` of its frame."""
        return "#commit" if self.event_type == "append" else f"#{self.event_type}"


@dataclass(slots=True, frozen=True)
class StoredRecord:
    """A row of `record` with its block."""

    collection: str
    rkey: str
    cid: str
    value: Any


class ReferenceData:
    """What the reference left on the disk, read without our own code."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.events = [
            StoredEvent(*row)
            for row in _rows(
                directory / "sequencer.sqlite",
                "SELECT seq, did, eventType, event, sequencedAt FROM repo_seq ORDER BY seq",
            )
        ]

    def records(self, did: str) -> list[StoredRecord]:
        """Every record of an actor."""
        (store,) = self.directory.glob(f"actors/*/{did}/store.sqlite")
        rows = _rows(
            store,
            "SELECT record.collection, record.rkey, record.cid, repo_block.content"
            " FROM record JOIN repo_block ON repo_block.cid = record.cid",
        )
        return [
            StoredRecord(collection, rkey, cid, dagcbor.decode(block))
            for collection, rkey, cid, block in rows
        ]

    def blobs(self, did: str) -> dict[str, bytes]:
        """The bytes of an actor's blobs by CID."""
        return {path.name: path.read_bytes() for path in self.directory.glob(f"blobs/{did}/*")}


def _rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        return db.execute(sql).fetchall()


@pytest.fixture(scope="session")
def manifest() -> Any:
    """What the reference's clients saw."""
    return data.manifest()


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> ReferenceData:
    """The data directory, untouched."""
    return ReferenceData(data.unpack(tmp_path_factory.mktemp("untouched")))


@pytest.fixture
async def pds(tmp_path: Path, pds_environ: dict[str, str]) -> AsyncIterator[Pds]:
    """The server on a copy of the data directory."""
    directory = data.unpack(tmp_path / "data")
    directory_of_dids = PlcStore(directory / "plc.sqlite")
    plc.import_logs(directory_of_dids)
    directory_of_dids.close()
    async with AsyncExitStack() as stack:
        yield await start_pds(stack, directory, data.environment(directory) | pds_environ)


@dataclass(slots=True, frozen=True)
class Owners:
    """The accounts of the data directory, each with a new session."""

    by_name: Mapping[str, Account]

    def __getitem__(self, name: str) -> Account:
        return self.by_name[name]


@pytest.fixture
async def owners(pds: Pds, manifest: Any) -> Owners:
    """Sessions of all accounts but the one that is taken down."""
    return Owners(
        {
            name: await log_in(pds, name, manifest["accounts"][name])
            for name in data.NAMES
            if name != data.TAKEN_DOWN
        }
    )


async def log_in(pds: Pds, name: str, expected: Any) -> Account:
    """A session by the account's password."""
    credentials = {"identifier": expected["did"], "password": expected["password"]}
    reply = await pds.post("com.atproto.server.createSession", credentials)
    assert reply.status == 200, reply.body
    return Account(
        reply.json["did"],
        reply.json["handle"],
        reply.json["email"],
        expected["password"],
        reply.json["accessJwt"],
        reply.json["refreshJwt"],
    )


def key_before(did: str) -> PublicKey:
    """The signing key that the DID named when the reference stopped."""
    (*_, last) = json.loads(data.PLC_FILE.read_text())[did]["log"]
    return parse_did_key(last["verificationMethods"]["atproto"])
