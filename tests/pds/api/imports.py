"""Making CAR files of repositories, sound ones and others, and importing them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repo import dagcbor
from repo.car import encode_car
from repo.cid import Cid
from repo.commit import SignedCommit, sign_commit
from repo.datamodel import from_json
from repo.keys import K256PrivateKey, PrivateKey
from repo.mst import build_blocks
from tests.pds.api.signups import CREATE, create
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.identities import ForeignDid, register_foreign_did

IMPORT = "com.atproto.repo.importRepo"
CAR_TYPE = "application/vnd.ipld.car"
REV = "3l2vqs4u2dk2a"


@dataclass(slots=True)
class Repo:
    """A repository that is in no server: change it, then `car`."""

    did: str
    records: dict[str, bytes]
    """Blocks by MST key."""
    key: PrivateKey
    rev: str = REV

    @classmethod
    def of(cls, did: str, key: PrivateKey, records: Mapping[str, Any]) -> Repo:
        """A repository of records as JSON."""
        blocks = {path: dagcbor.encode(from_json(json)) for path, json in records.items()}
        return cls(did, blocks, key)

    def cids(self) -> dict[str, Cid]:
        """The records' CIDs by MST key."""
        return {path: Cid.of_dag_cbor(block) for path, block in sorted(self.records.items())}

    def nodes(self) -> list[tuple[Cid, bytes]]:
        """The tree, its root last."""
        return list(build_blocks(self.cids().items()))

    def commit(self) -> SignedCommit:
        """The signed commit."""
        data, _ = self.nodes()[-1]
        return sign_commit(self.did, data=data, rev=self.rev, key=self.key)

    def blocks(self) -> dict[Cid, bytes]:
        """All blocks, the commit first."""
        commit = self.commit()
        records = {Cid.of_dag_cbor(block): block for block in self.records.values()}
        return {commit.cid: commit.block, **dict(self.nodes()), **records}

    def car(self) -> bytes:
        """The repository as a CAR."""
        return encode_car([self.commit().cid], self.blocks().items())


@dataclass(slots=True)
class Mover:
    """An account that moves in: still deactivated, its DID says another server."""

    owner: ForeignDid
    account: Account

    @property
    def did(self) -> str:
        return self.account.did

    def repo(self, records: Mapping[str, Any]) -> Repo:
        """Its repository at the server before."""
        return Repo.of(self.did, self.owner.key, records)


async def move_in(pds: Pds) -> Mover:
    """Make the account."""
    owner = register_foreign_did(pds)
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did)
    assert reply.status == 200, reply.body
    session = reply.json
    return Mover(
        owner,
        Account(
            session["did"],
            session["handle"],
            "",
            "",
            session["accessJwt"],
            session["refreshJwt"],
        ),
    )


async def import_car(
    pds: Pds, account: Account, car: Any, *, content_type: str = CAR_TYPE
) -> Reply:
    """com.atproto.repo.importRepo; `car` may be an iterator of parts."""
    headers = {**account.auth, "Content-Type": content_type}
    if isinstance(car, bytes):
        car = io.BytesIO(car)
    return await pds.request("POST", f"/xrpc/{IMPORT}", headers=headers, data=car)


def stranger() -> PrivateKey:
    """A key that no DID document names."""
    return K256PrivateKey.generate()
