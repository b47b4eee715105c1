"""The layers of a hold come back with the server."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pds.replication.restore.report import Lack
from tests.pds.replication.restore.origin import Origin


def put_layer(directory: Path, data: bytes, *, damaged: bool = False) -> str:
    name = hashlib.sha256(data).hexdigest()
    path = directory / "oci/sha256" / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[:-1] if damaged else data)
    return str(path.relative_to(directory))


async def test_layers_come_back(origin: Origin, tmp_path: Path) -> None:
    layers = {put_layer(origin.replica / "blobs", data): data for data in (b"one", b"two")}
    report = await origin.restore(tmp_path / "restored").run()
    found = {name: (tmp_path / "restored/blobs" / name).read_bytes() for name in layers}
    assert found == layers
    assert report.totals.layers == 2
    assert "  2 layers of the hold" in list(report.lines())


async def test_a_damaged_layer_is_listed_and_left_out(origin: Origin, tmp_path: Path) -> None:
    name = put_layer(origin.replica / "blobs", b"one", damaged=True)
    report = await origin.restore(tmp_path / "restored").run()
    [finding] = report.of_kind(Lack.DAMAGED_LAYER)
    assert name.endswith(finding.subject)
    assert not any((tmp_path / "restored/blobs/oci").rglob("*.*"))
    assert not (tmp_path / "restored/blobs" / name).exists()


async def test_accounts_come_back_without_the_layers(origin: Origin, tmp_path: Path) -> None:
    put_layer(origin.replica / "blobs", b"one")
    fields = {"dids": frozenset({origin.did("alice")}), "services": False}
    report = await origin.restore(tmp_path / "restored", **fields).run()
    assert report.totals.layers == 0
    assert not (tmp_path / "restored/blobs/oci").exists()
