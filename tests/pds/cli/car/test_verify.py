"""`pds car verify`: a line for each file, and a status that a script can go by."""

from __future__ import annotations

import json
from pathlib import Path

from repo.cid import Cid
from tests.pds.api.imports import Repo
from tests.pds.car.cars import (
    DID,
    FIXTURE_CARS,
    KEY,
    OTHER_KEY,
    POST,
    RECORDS,
    REV,
    car_of,
    parts_of,
    parts_of_blocks,
)
from tests.pds.cli.car.conftest import run_car
from tests.pds.cli.car.test_import import Owner
from tests.pds.cli.conftest import OperatedServer
from tests.repo.odd_records import ODD


def test_a_sound_file_is_sound(car: Path) -> None:
    done = run_car("verify", car)
    assert (done.status, done.err) == (0, "")
    assert done.lines == [
        f"{car}: sound, {len(RECORDS)} records of {DID}, rev {REV}, signature not checked"
    ]


def test_the_signature_decides_if_a_key_is_given(car: Path) -> None:
    signed = run_car("verify", car, "--key", KEY.did_key)
    assert signed.status == 0
    assert signed.lines[0].endswith(", signed by the key")
    forged = run_car("verify", car, "--key", OTHER_KEY.did_key)
    assert forged.status == 1
    assert forged.lines == [
        f"{car}: the commit {parts_of().roots[0]} is not signed by {OTHER_KEY.did_key}"
    ]


def test_several_files_are_looked_at_whatever_one_is_like(car: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.car"
    broken.write_bytes(car_of()[:-1])
    absent = tmp_path / "absent.car"
    done = run_car("verify", broken, absent, car, *FIXTURE_CARS)
    assert done.status == 1
    assert len(done.lines) == 7
    assert done.lines[0].startswith(f"{broken}: CAR ends inside a block, at byte ")
    assert done.lines[1] == f"{absent}: No such file or directory"
    assert all(": sound, " in line for line in done.lines[2:])
    assert done.err == ""


def test_notes_do_not_change_the_status(tmp_path: Path) -> None:
    parts = parts_of()
    parts.blocks.append(parts.blocks[1])
    path = tmp_path / "a.car"
    path.write_bytes(parts.encode())
    done = run_car("verify", path)
    assert done.status == 0
    assert done.lines[1] == f"{path}: note: 1 block repeated"


def test_an_odd_record_is_named_and_does_not_change_the_status(tmp_path: Path) -> None:
    path = tmp_path / "odd.car"
    path.write_bytes(parts_of_blocks({f"{POST}/a": ODD["a float"], f"{POST}/b": b"\xa0"}).encode())
    done = run_car("verify", path)
    assert (done.status, done.err) == (0, "")
    record = f"record {POST}/a ({Cid.of_dag_cbor(ODD['a float'])})"
    assert done.lines == [
        f"{path}: {record} is odd: float has no place in the data model",
        f"{path}: intact, 2 records of {DID}, rev {REV}, signature not checked",
    ]
    report = json.loads(run_car("verify", path, "--json").out)
    assert (report["intact"], report["sound"], report["oddCount"]) == (True, False, 1)


def test_json_has_an_object_for_each_file(car: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.car"
    broken.write_bytes(car_of({f"{POST}/..": {}, f"{POST}/a_b": {}}))
    done = run_car("verify", car, broken, "--json")
    assert done.status == 1
    sound, faulty = map(json.loads, done.lines)
    assert (sound["file"], sound["sound"], sound["records"]) == (str(car), True, len(RECORDS))
    assert sound["signed"] is None
    assert (faulty["sound"], faulty["faultCount"]) == (False, 1)
    assert f"record {POST}/.. " in faulty["faults"][0]
    assert "at byte" in faulty["faults"][0]


def test_the_key_is_looked_up_in_a_directory(running: OperatedServer, car: Path) -> None:
    plc = f"http://localhost:{running.server.plc_port}"
    done = run_car("verify", car, "--plc", plc)
    assert done.status == 1
    assert f"Could not resolve DID: {DID} (not registered)" in done.lines[0]


def test_earlier_keys_of_a_did_plc_count(running: OperatedServer, tmp_path: Path) -> None:
    owner = Owner(running.plc_url)
    car = tmp_path / "a.car"
    car.write_bytes(owner.repo({f"{POST}/a": {"$type": POST}}).car())
    owner.name_key(OTHER_KEY)
    verified = run_car("verify", car, "--plc", running.plc_url)
    assert (verified.status, verified.lines[0].endswith(", signed by the key")) == (0, True)
    inspected = run_car("inspect", car, "--plc", running.plc_url)
    assert f"signature   by {owner.key.did_key}" in inspected.lines
    car.write_bytes(Repo.of(owner.did, KEY, {}).car())
    refused = run_car("verify", car, "--plc", running.plc_url)
    assert (refused.status, "is not signed by" in refused.lines[0]) == (1, True)
