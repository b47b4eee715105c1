"""Key files and who can read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.doctor.actor import ActorReport
from pds.doctor.actors import summarize
from pds.doctor.signing_key import read_key_file
from repo.keys import K256PrivateKey


@pytest.fixture
def key_file(open_directory: Path) -> Path:
    path = open_directory / "key"
    path.write_bytes(K256PrivateKey.generate().export())
    return path


@pytest.mark.parametrize(
    ("directory_mode", "mode", "exposed"),
    [(0o755, 0o644, True), (0o755, 0o600, False), (0o700, 0o644, False), (0o755, 0o640, False)],
)
def test_a_key_is_exposed_if_every_mode_on_the_way_lets_others_in(
    key_file: Path, directory_mode: int, mode: int, exposed: bool
) -> None:
    key_file.chmod(mode)
    key_file.parent.chmod(directory_mode)
    assert read_key_file(key_file).is_exposed is exposed


def test_exposed_keys_are_one_warning(tmp_path: Path) -> None:
    reports = [ActorReport(f"did:plc:{n}", (), key_is_exposed=True) for n in range(5)]
    warning, _ = summarize(reports, tmp_path, blobs_rehashed=False)
    assert (warning.check, warning.status) == ("signing key", "warning")
    assert "5 key files: did:plc:0, did:plc:1, did:plc:2 and 2 more" in warning.message
    assert f"chmod o-rwx {tmp_path}" in warning.remedy
