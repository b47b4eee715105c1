"""Settings: every problem is a finding, and the files are looked at nevertheless."""

from __future__ import annotations

import pytest

from pds.doctor import environment
from pds.doctor.environment import check_handle_domains, examine_settings
from tests.pds.doctor.conftest import Patient


def test_every_problem_of_the_settings_is_a_finding() -> None:
    settings, findings = examine_settings({"PDS_HOSTNAME": "pds.example.com", "PDS_PORT": "99999"})
    assert settings.hostname == "pds.example.com"
    wrong = {finding.subject for finding in findings if finding.status == "error"}
    assert {"PDS_PORT", "PDS_JWT_SECRET", "PDS_ADMIN_PASSWORD"} <= wrong
    (port,) = [finding for finding in findings if finding.subject == "PDS_PORT"]
    assert port.message == "PDS_PORT is 99999"
    assert port.remedy == "Set a TCP port from 1 to 65535."


def test_data_is_checked_although_the_settings_are_wrong(patient: Patient) -> None:
    patient.environ["PDS_JWT_SECRET"] = ""
    report = patient.examine()
    (problem,) = report.problems
    assert (problem.check, problem.subject) == ("settings", "PDS_JWT_SECRET")
    assert any(finding.check == "repositories" for finding in report.findings)
    assert report.exit_status == 1


def test_settings_that_do_nothing_are_a_warning(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_without_effect", lambda _: ["PDS_PLANNED"])
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("settings", "warning")
    assert "PDS_PLANNED" in problem.message


def test_a_secret_that_can_be_guessed_is_a_warning(patient: Patient) -> None:
    patient.environ["PDS_JWT_SECRET"] = "a"
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("settings", "PDS_JWT_SECRET")
    assert problem.status == "warning"
    assert problem.remedy.startswith("Set the output of openssl rand --hex 16;")


def test_a_variable_that_is_no_setting_is_a_warning(patient: Patient) -> None:
    patient.environ["PDS_BLOBSTORE_DISK_LOCATON"] = "/pds/blocks"
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("settings", "PDS_BLOBSTORE_DISK_LOCATON")
    assert problem.status == "warning"
    assert problem.remedy.startswith("Did you mean PDS_BLOBSTORE_DISK_LOCATION?")


def test_a_value_that_cannot_be_read_is_an_error(patient: Patient) -> None:
    patient.environ["PDS_BLOB_UPLOAD_LIMIT"] = "100MB"
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("settings", "PDS_BLOB_UPLOAD_LIMIT")
    assert problem.status == "error"


@pytest.mark.parametrize("domain", [".example.com", ".test", ".a-b.org"])
def test_domains_of_handles_are_fine(domain: str) -> None:
    (finding,) = check_handle_domains([domain])
    assert finding.status == "ok"


@pytest.mark.parametrize("domain", [".local", ".exa_mple.com", ".example..com", "."])
def test_domains_without_possible_handles_are_told(domain: str) -> None:
    (finding,) = check_handle_domains([domain])
    assert (finding.status, finding.subject) == ("error", domain)
    assert "PDS_SERVICE_HANDLE_DOMAINS" in finding.remedy
