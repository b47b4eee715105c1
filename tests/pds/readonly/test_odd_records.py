"""A repository with odd records is served like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from repo import dagcbor
from repo.cid import Cid
from tests.pds.api.exports import read_car
from tests.pds.car.cars import DID, parts_of_blocks
from tests.pds.readonly.conftest import OFFLINE, ReadonlyServer, start
from tests.pds.readonly.test_pages import page
from tests.repo.odd_records import NOT_SHOWN, NOTE, ODD, SHOWN

RKEYS = {name: f"{number:02}" for number, name in enumerate(ODD)}
BLOCKS = {f"{NOTE}/{RKEYS[name]}": block for name, block in ODD.items()}
BLOCKS[f"{NOTE}/sound"] = dagcbor.encode({"$type": NOTE, "text": "a sound record"})


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadonlyServer]:
    root = tmp_path_factory.mktemp("odd")
    cars = root / "cars"
    cars.mkdir()
    (cars / "odd.car").write_bytes(parts_of_blocks(BLOCKS).encode())
    server = start(cars, root / "log", *OFFLINE)
    yield server
    server.process.kill()


def test_it_is_loaded_with_a_warning(odd: ReadonlyServer) -> None:
    assert odd.serves(DID)
    assert "odd records" in odd.log()
    assert f'"count":{len(ODD)}' in odd.log()


def test_its_car_has_the_same_blocks(odd: ReadonlyServer, tmp_path: Path) -> None:
    car = odd.client.get("com.atproto.sync.getRepo", did=DID).body
    (root,), blocks = read_car(car)
    assert root == parts_of_blocks(BLOCKS).roots[0]
    assert {blocks[Cid.of_dag_cbor(block)] for block in BLOCKS.values()} == set(BLOCKS.values())


def test_records_are_shown_as_far_as_json_can(odd: ReadonlyServer) -> None:
    listed = odd.client.call("com.atproto.repo.listRecords", repo=DID, collection=NOTE, limit=100)
    rkeys = {record["uri"].rpartition("/")[2]: record["value"] for record in listed["records"]}
    assert rkeys.pop("sound")["text"] == "a sound record"
    assert rkeys == {RKEYS[name]: {"a": value, "$type": NOTE} for name, (_, value) in SHOWN.items()}
    for name in NOT_SHOWN:
        reply = odd.client.get(
            "com.atproto.repo.getRecord", repo=DID, collection=NOTE, rkey=RKEYS[name]
        )
        assert reply.status == 400


def test_every_page_is_there(odd: ReadonlyServer) -> None:
    listed = page(odd, f"/repo/{DID}/{NOTE}")
    assert "a sound record" in listed
    assert listed.count("This record cannot be shown: ") >= len(NOT_SHOWN) - 2
    for rkey in RKEYS.values():
        text = page(odd, f"/repo/{DID}/{NOTE}/{rkey}")
        assert "Raw JSON" in text or "/xrpc/com.atproto.sync.getRecord?did=" in text
    assert "1.5" in page(odd, f"/repo/{DID}/{NOTE}/{RKEYS['a float']}")
