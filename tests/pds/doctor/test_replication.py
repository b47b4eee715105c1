"""What `pds doctor` says of replication."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.config.settings import Settings
from pds.doctor.finding import Finding
from pds.doctor.replication import CHECK, check_replication
from tests.pds.config.test_replication_settings import settings_with
from tests.pds.config.test_settings import settings_with as settings_without
from tests.pds.doctor.conftest import Patient
from tests.pds.replication.statuses import tell, waiting


def settings_on(data: Path) -> Settings:
    return settings_with(PDS_DATA_DIRECTORY=str(data))


def finding_on(data: Path, *, is_running: bool = True) -> Finding:
    (finding,) = check_replication(settings_on(data), is_running=is_running)
    return finding


def test_a_server_without_replication_is_not_examined_for_it(tmp_path: Path) -> None:
    settings = settings_without(PDS_DATA_DIRECTORY=str(tmp_path))
    assert list(check_replication(settings, is_running=True)) == []
    tell(tmp_path, state="stopped")
    assert list(check_replication(settings, is_running=True)) == []


def test_a_replica_that_is_current_is_fine(tmp_path: Path) -> None:
    tell(tmp_path, warnings=("blobs on S3 are not copied",))
    finding = finding_on(tmp_path)
    assert finding.status == "ok"
    assert finding.message == (
        "1,000 accounts; every change has been sent; blobs on S3 are not copied"
    )


@pytest.mark.parametrize("is_running", [True, False])
def test_one_that_does_not_run_beside_the_server_is_an_error(
    tmp_path: Path, is_running: bool
) -> None:
    tell(tmp_path, state="failed", last_error="wrong passphrase")
    finding = finding_on(tmp_path, is_running=is_running)
    assert finding.status == ("error" if is_running else "warning")
    assert finding.message.endswith("wrong passphrase")
    assert finding.remedy


def test_one_that_was_stopped_with_the_server_is_fine(tmp_path: Path) -> None:
    tell(tmp_path, state="stopped", written_s=1.0)
    assert finding_on(tmp_path, is_running=False).status == "ok"
    assert finding_on(tmp_path, is_running=True).status == "error"


def test_one_that_was_stopped_too_soon_is_told(tmp_path: Path) -> None:
    tell(tmp_path, state="stopped", actors=waiting(3, 5))
    finding = finding_on(tmp_path, is_running=False)
    assert (finding.status, "3 accounts waited" in finding.message) == ("warning", True)


def test_changes_that_wait_are_told(tmp_path: Path) -> None:
    tell(tmp_path, actors=waiting(3, 120))
    finding = finding_on(tmp_path)
    assert (finding.status, finding.check) == ("error", CHECK)
    assert finding.message == "changes wait for 120 seconds to reach the replica"


def test_an_examination_has_it(patient: Patient) -> None:
    patient.environ["PDS_REPLICATION_URL"] = "file:///backup"
    patient.environ["PDS_REPLICATION_KEYS_IN_CLEAR"] = "true"
    (finding,) = (one for one in patient.examine().findings if one.check == CHECK)
    assert finding.status == "warning"
    assert "has never run" in finding.message
