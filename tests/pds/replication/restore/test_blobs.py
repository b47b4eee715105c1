"""Blobs come back if their bytes are those that they are named for."""

from __future__ import annotations

from pathlib import Path

from pds.replication.restore.report import Lack
from tests.pds.replication.restore.origin import Origin


async def test_a_blob_with_other_bytes_is_listed_and_left_out(
    origin: Origin, tmp_path: Path
) -> None:
    did = origin.did("alice")
    blob = min((origin.replica / "blobs" / did).iterdir())
    blob.write_bytes(bytes(len(blob.read_bytes())))
    to = tmp_path / "restored"
    report = await origin.restore(to).run()
    [finding] = report.of_kind(Lack.DAMAGED_BLOB)
    assert finding.detail == f"{blob.name}: its bytes do not fit its name"
    assert not [path for path in to.rglob("*") if blob.name in path.name]
    assert report.totals.blobs == len(origin.blobs()) - 1
