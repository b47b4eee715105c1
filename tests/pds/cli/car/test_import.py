"""`pds car import`: with the server running, and on the files of one that does not run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import orjson
import pytest

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from repo.cid import Cid
from repo.keys import K256PrivateKey, PrivateKey
from repo.syntax import Did
from tests.pds.api.imports import Repo
from tests.pds.api.records import NOTE
from tests.pds.cli.car.conftest import run_car
from tests.pds.cli.conftest import OperatedServer, Operator
from tests.repo.odd_records import ODD

BLOBS: Final = (b"a picture", b"another picture", b"a third one")
_numbers: Final = count()


class Owner:
    """Somebody whose server has gone, with a DID in a PLC directory."""

    def __init__(self, plc_url: str) -> None:
        self._plc_url = plc_url
        self.name = f"moved{next(_numbers)}"
        self.key = K256PrivateKey.generate()
        self.operation = PlcOperation.sign(self._data(), prev=None, key=self.key)
        self.did = Did(self.operation.did())
        self._send(self.operation)

    def repo(self, records: dict[str, Any]) -> Repo:
        return Repo.of(self.did, self.key, records)

    def accept(self, credentials: dict[str, Any]) -> None:
        """Let the DID say what the account needs."""
        own = {**credentials, "rotationKeys": [self.key.did_key, *credentials["rotationKeys"]]}
        data = PlcData.from_json(own)
        self._send(PlcOperation.sign(data, prev=self.operation.cid, key=self.key))

    def name_key(self, key: PrivateKey) -> None:
        """Let the DID name another signing key."""
        data = replace(self._data(), verification_methods={"atproto": key.did_key})
        self.operation = PlcOperation.sign(data, prev=self.operation.cid, key=self.key)
        self._send(self.operation)

    def _data(self) -> PlcData:
        service = PlcService("AtprotoPersonalDataServer", "https://old.example.com")
        return PlcData(
            rotation_keys=(self.key.did_key,),
            verification_methods={"atproto": self.key.did_key},
            also_known_as=(f"at://{self.name}.test",),
            services={"atproto_pds": service},
        )

    def _send(self, operation: PlcOperation) -> None:
        request = Request(  # noqa: S310 (a directory of our own)
            f"{self._plc_url}/{self.did}",
            data=orjson.dumps(operation.to_json()),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=10) as response:  # noqa: S310
            assert response.status == 200


@pytest.fixture
def owner(operator: Operator) -> Iterator[Owner]:
    """Somebody who moves in, and whose account is gone after the test."""
    owner = Owner(operator.plc_url)
    yield owner
    if list(operator.data.glob(f"actors/??/{owner.did}")):
        operator.run("account", "delete", owner.did, "--yes")


@pytest.fixture
def blobs(tmp_path: Path, owner: Owner) -> Path:
    """A directory with all blobs but the last, as exports and other tools lay them."""
    directory = tmp_path / "blobs" / owner.did
    (directory / "ab").mkdir(parents=True)
    (directory / str(Cid.of_raw(BLOBS[0]))).write_bytes(BLOBS[0])
    (directory / "ab" / str(Cid.of_raw(BLOBS[1]))).write_bytes(BLOBS[1])
    return tmp_path / "blobs"


def with_images() -> dict[str, Any]:
    return {
        f"{NOTE}/{number}": {
            "$type": NOTE,
            "image": {
                "$type": "blob",
                "ref": {"$link": str(Cid.of_raw(content))},
                "mimeType": "image/png",
                "size": len(content),
            },
        }
        for number, content in enumerate(BLOBS)
    }


def write(path: Path, repo: Repo) -> str:
    path.write_bytes(repo.car())
    return str(path)


def test_a_car_becomes_an_account_that_can_be_activated(
    operator: Operator, owner: Owner, tmp_path: Path
) -> None:
    car = write(tmp_path / "a.car", owner.repo({f"{NOTE}/a": {"$type": NOTE}}))
    email = f"{owner.name}@example.com"
    made = operator.run_json("car", "import", car, "--email", email)
    assert (made["did"], made["handle"], made["records"]) == (owner.did, f"{owner.name}.test", 1)
    shown = operator.show(owner.did)
    assert (shown["status"], shown["email"]) == ("deactivated", email)
    assert operator.knows_password(owner.did, made["password"])
    assert operator.events_of(owner.did) == []
    assert "DID" in operator.refuse("account", "activate", owner.did)
    owner.accept(made["didCredentials"])
    operator.run("account", "activate", owner.did)
    assert operator.show(owner.did)["status"] == "active"
    assert operator.events_of(owner.did) == ["account", "identity", "sync"]


def test_what_is_to_be_done_next_is_told(operator: Operator, owner: Owner, tmp_path: Path) -> None:
    car = write(tmp_path / "a.car", owner.repo(with_images()))
    text = operator.run("car", "import", car, "--email", f"{owner.name}@example.com")
    told = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    assert told["did"].strip() == owner.did
    assert operator.knows_password(owner.did, told["password"].strip())
    assert "3 blobs that its records refer to can be imported with --blobs." in text
    assert f"at://{owner.name}.test" in text
    assert f"pds account activate {owner.did}" in text


def test_odd_records_are_told_of(operator: Operator, owner: Owner, tmp_path: Path) -> None:
    repo = owner.repo({f"{NOTE}/a": {"$type": NOTE}})
    repo.records[f"{NOTE}/b"] = ODD["a float"]
    car = write(tmp_path / "a.car", repo)
    text = operator.run("car", "import", car, "--email", f"{owner.name}@example.com")
    assert "1 odd record, kept as it is:" in text
    assert f"at://{owner.did}/{NOTE}/b: float has no place in the data model" in text
    again = operator.run_json("car", "import", car)
    assert again["oddRecords"]["count"] == 1


def test_blobs_come_along(operator: Operator, owner: Owner, blobs: Path, tmp_path: Path) -> None:
    car = write(tmp_path / "a.car", owner.repo(with_images()))
    words = ("car", "import", car, "--blobs", str(blobs))
    made = operator.run_json(*words, "--email", f"{owner.name}@example.com")
    assert made["missingBlobs"] == 1
    usage = operator.run_lines("account", "list", "--usage")
    (used,) = [one for one in usage if one.get("did") == owner.did]
    assert used["blobBytes"] == len(BLOBS[0]) + len(BLOBS[1])
    # Once the last is found, the same command brings it.
    (blobs / owner.did / str(Cid.of_raw(BLOBS[2]))).write_bytes(BLOBS[2])
    again = operator.run_json(*words)
    assert (again["missingBlobs"], again["password"]) == (0, None)


def test_a_backup_that_an_earlier_key_has_signed_comes_in(
    operator: Operator, owner: Owner, tmp_path: Path
) -> None:
    car = write(tmp_path / "a.car", owner.repo({f"{NOTE}/a": {"$type": NOTE}}))
    owner.name_key(K256PrivateKey.generate())
    made = operator.run_json("car", "import", car, "--email", f"{owner.name}@example.com")
    assert (made["did"], made["records"]) == (owner.did, 1)


def test_a_car_that_is_refused_leaves_no_account(
    operator: Operator, owner: Owner, tmp_path: Path
) -> None:
    car = tmp_path / "a.car"
    write(car, owner.repo({f"{NOTE}/a": {"$type": NOTE}}))
    email = ("--email", f"{owner.name}@example.com")
    sound = car.read_bytes()
    for damaged, said in ((sound[:-4], "at byte"), (sound[:-4] + b"wild", "at byte")):
        car.write_bytes(damaged)
        assert said in operator.refuse("car", "import", str(car), *email)
    stranger = K256PrivateKey.generate()
    write(car, Repo.of(owner.did, stranger, {}))
    refusal = operator.refuse("car", "import", str(car), *email)
    assert "is not signed by a key of" in refusal
    assert "name the key with --key did:key:…, or give --ignore-signature" in refusal
    assert "--email" in operator.refuse("car", "import", str(car), "--key", stranger.did_key)
    assert str(tmp_path / "none.car") in operator.refuse("car", "import", f"{tmp_path}/none.car")
    assert "no account" in operator.refuse("account", "show", owner.did)
    assert list(operator.data.glob(f"actors/??/{owner.did}")) == []


def test_it_reads_standard_input(running: OperatedServer) -> None:
    owner = Owner(running.plc_url)
    done = run_car(
        *("import", "-", "--json", "--email", f"{owner.name}@example.com"),
        *("--env-file", running.server.env_file),
        stdin=owner.repo({f"{NOTE}/a": {"$type": NOTE}}).car(),
    )
    assert done.status == 0, done.err
    assert orjson.loads(done.out)["did"] == owner.did
    running.run("account", "delete", owner.did, "--yes")
