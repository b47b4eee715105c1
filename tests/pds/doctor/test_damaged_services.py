"""Damage to the service database, the event log and the DID cache, and heads that differ."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from database.connection import Database
from tests.pds.doctor.conftest import Patient, changed, crash_after

_LATER = "3zzzzzzzzzz2x"


def last_body(db: Database, did: str) -> bytes:
    sql = "SELECT event FROM repo_seq WHERE did = ? AND eventType = 'append' ORDER BY seq DESC"
    return bytes(db.value(sql, (did,)))


def mark_stopped(path: Path) -> None:
    """Write the flag of a Holdfast that has stopped in order."""
    with changed(path) as db:
        db.script(
            "CREATE TABLE holdfast_run (id INTEGER PRIMARY KEY, running INTEGER, latestSeq INTEGER)"
        )
        db.run("INSERT INTO holdfast_run SELECT 1, 0, seq FROM sqlite_sequence")


def forget_events(patient: Patient, name: str) -> None:
    """Take the newest commit of an account out of the log."""
    with changed(patient.log) as db:
        db.run(
            "DELETE FROM repo_seq WHERE seq = (SELECT max(seq) FROM repo_seq WHERE did = ?)",
            (patient.did(name),),
        )


def test_a_store_behind_the_log_has_lost_writes(patient: Patient) -> None:
    did = patient.did("dan")
    with changed(patient.log) as db:
        body = last_body(db, did)
        rev = patient.accounts["dan"]["latestCommit"]["rev"]
        db.run(
            "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, 'append', ?, ?)",
            (did, body.replace(rev.encode(), _LATER.encode()), "2026-11-20T12:39:00.000Z"),
        )
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("heads", "error")
    assert problem.subject == str(patient.store("dan"))
    assert _LATER in problem.message
    assert str(patient.log) in problem.message
    assert "backup" in problem.remedy


def test_a_store_behind_what_is_listed_has_lost_writes(patient: Patient) -> None:
    with changed(patient.account_db) as db:
        db.run("UPDATE repo_root SET rev = ? WHERE did = ?", (_LATER, patient.did("bob")))
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("heads", "error")
    assert str(patient.account_db) in problem.message


def test_another_commit_of_the_same_rev_is_told(patient: Patient) -> None:
    with changed(patient.account_db) as db:
        db.run(
            "UPDATE repo_root SET cid = (SELECT cid FROM repo_root WHERE did = ?) WHERE did = ?",
            (patient.did("alice"), patient.did("bob")),
        )
    assert "another commit" in patient.only_problem().message


def test_a_log_behind_the_store_is_mended_by_a_start_after_a_crash(patient: Patient) -> None:
    forget_events(patient, "bob")
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("heads", "warning")
    assert problem.subject == str(patient.store("bob"))
    assert "Start the server" in problem.remedy


def test_a_log_behind_the_store_after_an_orderly_stop_is_wrong(patient: Patient) -> None:
    forget_events(patient, "bob")
    mark_stopped(patient.log)
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("heads", "error")
    assert str(patient.log) in problem.remedy


def test_a_deactivated_account_may_have_commits_without_events(patient: Patient) -> None:
    with changed(patient.log) as db:
        db.run(
            "DELETE FROM repo_seq WHERE did = ? AND eventType <> 'account'",
            (patient.did("frank"),),
        )
    assert patient.problems() == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE repo_root SET rev = '3aaaaaaaaaa2x' WHERE did = ?",
        "DELETE FROM repo_root WHERE did = ?",
    ],
)
def test_a_listing_behind_the_store_is_a_warning(patient: Patient, statement: str) -> None:
    with changed(patient.account_db) as db:
        db.run(statement, (patient.did("bob"),))
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("heads", "warning")
    assert "listRepos" in problem.remedy


def test_an_event_that_cannot_be_read_is_named_by_its_number(patient: Patient) -> None:
    with changed(patient.log) as db:
        db.run("UPDATE repo_seq SET event = x'a1ff' WHERE seq = 30")
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("event log", str(patient.log))
    assert problem.message.startswith(f"1 event cannot be read: 30 of {patient.did('alice')}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE repo_seq SET did = 'did:plc:other' WHERE seq = 30",
        "UPDATE repo_seq SET sequencedAt = 'yesterday' WHERE seq = 30",
    ],
)
def test_an_event_with_a_wrong_column_is_told(patient: Patient, statement: str) -> None:
    with changed(patient.log) as db:
        db.run(statement)
    assert "30 of" in patient.only_problem().message


def test_events_that_are_not_sent_may_be_damaged(patient: Patient) -> None:
    with changed(patient.log) as db:
        db.run("UPDATE repo_seq SET event = x'00', invalidated = 1 WHERE seq = 30")
    assert patient.problems() == ()


def test_a_counter_below_the_newest_event_is_told(patient: Patient) -> None:
    with changed(patient.log) as db:
        db.run("UPDATE sqlite_sequence SET seq = 60")
    problem = patient.only_problem()
    assert problem.check == "event log"
    assert "has event 70, but counts only to 60" in problem.message


def test_an_unclean_stop_is_a_warning(patient: Patient) -> None:
    mark_stopped(patient.log)
    assert patient.problems() == ()
    with changed(patient.log) as db:
        db.run("UPDATE holdfast_run SET running = 1")
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("last stop", "warning")
    assert "Start the server" in problem.remedy


def test_a_stop_of_the_reference_is_in_order_if_no_wal_is_left(patient: Patient) -> None:
    (found,) = [each for each in patient.examine().findings if each.check == "last stop"]
    assert found.status == "ok"
    assert "the reference PDS" in found.message


@pytest.mark.parametrize("name", ["account.sqlite", "actors/*/*/store.sqlite"])
def test_a_stop_of_the_reference_that_left_a_wal_is_a_warning(patient: Patient, name: str) -> None:
    database = min(patient.data.glob(name))
    crash_after(database, "CREATE TABLE holdfast_test (a)")
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("last stop", "warning")
    assert str(database) in problem.message


@pytest.mark.parametrize("name", ["account.sqlite", "sequencer.sqlite"])
def test_a_newer_schema_is_told(patient: Patient, name: str) -> None:
    with changed(patient.data / name) as db:
        db.run("INSERT INTO kysely_migration VALUES ('999', '2030-01-01T00:00:00.000Z')")
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("schema", str(patient.data / name))
    assert "999" in problem.message


def test_an_older_schema_is_a_warning(patient: Patient) -> None:
    with changed(patient.account_db) as db:
        db.run("DELETE FROM kysely_migration WHERE name = '007'")
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("schema", "warning")
    assert "1 migration: 007" in problem.message


def test_a_schema_with_a_gap_is_told(patient: Patient) -> None:
    with changed(patient.account_db) as db:
        db.run("DELETE FROM kysely_migration WHERE name = '003'")
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("schema", "error")
    assert "003" in problem.message


@pytest.mark.parametrize("name", ["account.sqlite", "sequencer.sqlite"])
@pytest.mark.parametrize("size", [None, 0, 4096, 30_000])
def test_a_missing_or_cut_off_service_database_is_told(
    patient: Patient, name: str, size: int | None
) -> None:
    path = patient.data / name
    path.unlink() if size is None else os.truncate(path, size)
    problem = patient.only_problem()
    assert (problem.status, problem.subject) == ("error", str(path))
    assert "estore" in problem.remedy


def test_rows_that_refer_to_nothing_are_told(patient: Patient) -> None:
    with changed(patient.account_db) as db:
        db.run("INSERT INTO used_refresh_token VALUES ('x', 12345)")
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("database", str(patient.account_db))
    assert "used_refresh_token" in problem.message


def test_half_an_account_is_told(patient: Patient) -> None:
    did = patient.did("bob")
    with changed(patient.account_db) as db:
        db.run("DELETE FROM account WHERE did = ?", (did,))
    problem = patient.only_problem()
    assert (problem.status, problem.subject) == ("warning", did)
    assert "bob.test" in problem.message


def test_a_login_without_an_actor_is_told(patient: Patient) -> None:
    did = patient.did("bob")
    with changed(patient.account_db) as db:
        db.run("DELETE FROM actor WHERE did = ?", (did,))
    statuses = {problem.status: problem.subject for problem in patient.problems()}
    assert statuses == {"error": did, "warning": str(patient.store("bob").parent)}


def test_a_change_that_a_crash_cut_off_explains_what_is_half_there(patient: Patient) -> None:
    did = patient.did("bob")
    with changed(patient.account_db) as db:
        for table in ("actor", "account", "repo_root"):
            db.run(f"DELETE FROM {table} WHERE did = ?", (did,))
        db.script("CREATE TABLE holdfast_journal (kind TEXT, did TEXT, detail TEXT)")
        db.run("INSERT INTO holdfast_journal VALUES ('create', ?, '')", (did,))
    problem = patient.only_problem()
    assert (problem.status, problem.subject) == ("warning", str(patient.account_db))
    assert f"create {did}" in problem.message


def test_a_damaged_cache_is_a_warning(patient: Patient) -> None:
    path = patient.data / "did_cache.sqlite"
    path.write_bytes(b"This is no database. " * 500)
    problem = patient.only_problem()
    assert (problem.status, problem.subject) == ("warning", str(path))
    assert "cache" in problem.remedy
    path.unlink()
    assert patient.problems() == ()
