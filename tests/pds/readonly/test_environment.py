"""What is set by variables, as in a container, and what would be set by mistake."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pds.config import ConfigError
from pds.readonly.environment import read_environment
from tests.conformance.client import Client
from tests.pds.car.cars import BLOB, DID, car_of
from tests.pds.readonly.conftest import wait_until
from tests.processes import ServerProcess, clean_environment, free_port, run_pds

LISTEN = {"PDS_BIND_ADDRESS": "127.0.0.1", "PDS_PORT": "3000", "PDS_HOSTNAME": "localhost"}


def test_variables_do_what_the_options_do(tmp_path: Path) -> None:
    cars, blobs, port = tmp_path / "cars", tmp_path / "blobs", free_port()
    cars.mkdir()
    (blobs / DID).mkdir(parents=True)
    (cars / "a.car").write_bytes(car_of())
    (blobs / DID / str(BLOB)).write_bytes(b"a picture")
    variables = {
        "PDS_CAR_DIR": str(cars),
        "PDS_BLOBS_DIR": str(blobs),
        "PDS_PORT": str(port),
        "PDS_HOSTNAME": "archive.example.com",
    }
    server = ServerProcess.launch(
        [sys.executable, "-m", "pds", "readonly", "--verify", "offline"],
        url=f"http://localhost:{port}",
        log_file=tmp_path / "log",
        env=clean_environment(variables),
    )
    try:
        wait_until(lambda: "1 loaded, " in server.log())
        client = Client(server.url)
        assert client.get("com.atproto.sync.getBlob", did=DID, cid=str(BLOB)).status == 200
        described = client.call("com.atproto.server.describeServer")
        assert described["did"] == "did:web:archive.example.com"
    finally:
        server.kill()


def test_without_files_there_is_nothing_to_serve() -> None:
    with pytest.raises(ConfigError, match="PDS_CAR_DIR"):
        read_environment({}, places=(), blobs=None, data=None, listen=LISTEN)


def test_a_directory_of_blobs_that_is_none_is_named(tmp_path: Path) -> None:
    places, blobs = [str(tmp_path)], tmp_path / "none"
    with pytest.raises(ConfigError, match="none is not a directory"):
        read_environment({}, places=places, blobs=blobs, data=None, listen=LISTEN)


def test_a_place_that_is_not_there_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "good.car").write_bytes(car_of())
    before = sorted(tmp_path.iterdir())
    for places in (
        ["typo.car"],
        ["no/such/path"],
        ["no/*.car"],
        ["good.car", "typo.car"],
    ):
        for more in ([], ["--data", str(tmp_path / "data")], ["--watch"]):
            words = [str(tmp_path / place) for place in places]
            done = run_pds("readonly", *words, *more, "--port", "0")
            assert done.returncode == 1
            assert f"{words[-1]} is not there" in done.stderr
            assert sorted(tmp_path.iterdir()) == before
            assert "Traceback" not in done.stderr


def test_a_pattern_may_match_nothing_yet(tmp_path: Path) -> None:
    found = read_environment(
        {}, places=(str(tmp_path / "*.car"),), blobs=None, data=None, listen=LISTEN
    )
    assert found.settings.data_directory == tmp_path / ".holdfast-readonly"
