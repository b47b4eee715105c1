"""`pds admin reset-second-factor`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyotp
import pytest
from click.testing import CliRunner

from pds.accounts.schema import open_account_database
from pds.administration.second_factor import AdminSecondFactor
from pds.cli import main

WORDS = ("admin", "reset-second-factor")


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    file = tmp_path / "pds.env"
    file.write_text(
        "PDS_HOSTNAME=pds.example.com\nPDS_JWT_SECRET=jwt-secret\nPDS_ADMIN_PASSWORD=admin-pass\n"
        f"PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX={'11' * 32}\n"
        f"PDS_DATA_DIRECTORY={tmp_path}\nPDS_BLOBSTORE_DISK_LOCATION={tmp_path / 'blobs'}\n"
    )
    return file


async def test_it_is_removed_after_a_question_while_the_file_is_open(
    tmp_path: Path, env_file: Path
) -> None:
    with closing(open_account_database(tmp_path / "account.sqlite")) as db:
        factor = AdminSecondFactor(db, b"k" * 32)
        secret, _ = factor.offer()
        assert await factor.set_up(secret, pyotp.TOTP(secret).now())
        done = CliRunner().invoke(main, [*WORDS, "--env-file", str(env_file)], input="n\n")
        assert done.exit_code != 0
        assert factor.is_set
        done = CliRunner().invoke(main, [*WORDS, "--yes", "--env-file", str(env_file)])
        assert (done.exit_code, factor.is_set) == (0, False), done.output
        done = CliRunner().invoke(main, [*WORDS, "--yes", "--env-file", str(env_file)])
        assert "The administrator has no second factor." in done.output


def test_without_a_server_s_data_it_says_so(env_file: Path) -> None:
    done = CliRunner().invoke(main, [*WORDS, "--yes", "--env-file", str(env_file)])
    assert done.exit_code == 1
    assert "There is no service database" in done.output
