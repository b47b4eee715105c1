"""Files that a server changes while they are read: a difference counts only if it lasts."""

from __future__ import annotations

from collections.abc import Callable

from pds.config import read_settings
from pds.doctor.accounts import read_accounts
from pds.doctor.actor import ActorFiles, check_actor
from pds.doctor.agreement import Comparison, directories_of
from pds.doctor.event_log import read_event_log
from pds.doctor.finding import Finding
from tests.pds.doctor.conftest import Patient, changed


def compare(patient: Patient, meanwhile: Callable[[], None]) -> list[Finding]:
    """Compare what is there now; `meanwhile` happens while a difference is waited for."""
    layout = patient.layout
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        meanwhile()

    comparison = Comparison(
        read_settings(patient.environ),
        layout,
        read_accounts(patient.account_db),
        read_event_log(patient.log, lambda done, total: None),
        tuple(
            check_actor(ActorFiles(did, layout.store(did), layout.key(did), None))
            for did in directories_of(layout)
        ),
        in_use=True,
        is_unclean=False,
        pause=pause,
    )
    return [finding for finding in comparison.findings() if finding.is_problem]


def set_root(patient: Patient, rev: str) -> None:
    with changed(patient.account_db) as db:
        db.run("UPDATE repo_root SET rev = ? WHERE did = ?", (rev, patient.did("bob")))


def test_a_head_that_arrives_late_is_no_fault(patient: Patient) -> None:
    set_root(patient, "3aaaaaaaaaa2x")
    right = patient.accounts["bob"]["latestCommit"]["rev"]
    assert compare(patient, lambda: set_root(patient, right)) == []


def test_a_head_that_does_not_arrive_is_told(patient: Patient) -> None:
    set_root(patient, "3aaaaaaaaaa2x")
    (problem,) = compare(patient, lambda: None)
    assert (problem.check, problem.subject) == ("heads", str(patient.store("bob")))


def rename_account(patient: Patient, before: str, after: str) -> None:
    with changed(patient.account_db) as db:
        for table in ("actor", "account"):
            db.run(f"UPDATE {table} SET did = ? WHERE did = ?", (after, before))


def test_an_account_whose_rows_arrive_late_is_no_fault(patient: Patient) -> None:
    did = patient.did("eve")
    rename_account(patient, did, "did:plc:later")
    assert compare(patient, lambda: rename_account(patient, "did:plc:later", did)) == []


def test_an_account_that_goes_on_lacking_its_store_is_told(patient: Patient) -> None:
    rename_account(patient, patient.did("eve"), "did:plc:later")
    missing, left = compare(patient, lambda: None)
    assert missing.subject == "did:plc:later"
    assert left.subject == str(patient.store("eve").parent)
