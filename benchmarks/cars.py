"""CAR files to measure with: repositories of somebody who has no server yet."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from benchmarks.seed import COLLECTION, post, rkeys_of, send
from benchmarks.servers import Server
from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from repo import dagcbor
from repo.car import encode_car
from repo.cid import Cid
from repo.commit import sign_commit
from repo.keys import K256PrivateKey
from repo.mst import build_blocks
from repo.syntax import Did

_REV: Final = "3l2vqs4u2dk2a"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has signed the repositories, with a DID that leads to a server that is gone."""

    name: str
    key: K256PrivateKey
    genesis: PlcOperation

    @classmethod
    def new(cls, name: str) -> Owner:
        """Somebody with a new key."""
        key = K256PrivateKey.generate()
        service = PlcService("AtprotoPersonalDataServer", "https://gone.example.com")
        data = PlcData(
            rotation_keys=(key.did_key,),
            verification_methods={"atproto": key.did_key},
            also_known_as=(f"at://{name}.test",),
            services={"atproto_pds": service},
        )
        return cls(name, key, PlcOperation.sign(data, prev=None, key=key))

    @property
    def did(self) -> Did:
        """Their DID."""
        return self.genesis.did()

    def register(self, server: Server) -> None:
        """Make the DID in the PLC directory of a server."""
        request = urllib.request.Request(
            f"{server.plc_url}/{self.did}",
            data=orjson.dumps(self.genesis.to_json()),
            headers={"content-type": "application/json"},
        )
        send(request)


def write_car(path: Path, owner: Owner, records: int) -> Path:
    """Write a repository of posts, the ones that servers are filled with. Return `path`."""
    blocks = {
        f"{COLLECTION}/{rkey}": dagcbor.encode(post(number))
        for number, rkey in enumerate(rkeys_of(records))
    }
    cids = {key: Cid.of_dag_cbor(block) for key, block in blocks.items()}
    nodes = list(build_blocks(cids.items()))
    commit = sign_commit(owner.did, data=nodes[-1][0], rev=_REV, key=owner.key)
    leaves = ((cids[key], block) for key, block in blocks.items())
    path.write_bytes(
        encode_car([commit.cid], [(commit.cid, commit.block), *reversed(nodes), *leaves])
    )
    return path
