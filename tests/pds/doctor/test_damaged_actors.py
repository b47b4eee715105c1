"""Damage to one actor: one finding, which names the file and what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pds.doctor.finding import Finding
from repo.cid import Cid
from repo.commit import decode_commit
from repo.keys import K256PrivateKey
from tests.pds.doctor.conftest import Patient, changed

_HEAD = "SELECT cid FROM repo_root"
_RECORD = "SELECT cid FROM record WHERE collection = 'app.bsky.actor.profile'"


def tree_root(patient: Patient) -> str:
    with changed(patient.store("alice")) as db:
        block = db.value(f"SELECT content FROM repo_block WHERE cid = ({_HEAD})")
    return str(decode_commit(block).data)


def flip_byte(path: Path, cid: str) -> None:
    """Change the last byte of a block; SQLite notices nothing."""
    with changed(path) as db:
        block = bytearray(db.value("SELECT content FROM repo_block WHERE cid = ?", (cid,)))
        block[-1] ^= 1
        db.run("UPDATE repo_block SET content = ? WHERE cid = ?", (bytes(block), cid))


def delete_block(path: Path, cid: str) -> None:
    with changed(path) as db:
        db.run("DELETE FROM repo_block WHERE cid = ?", (cid,))


def value_of(path: Path, sql: str) -> str:
    with changed(path) as db:
        return str(db.value(sql))


@pytest.mark.parametrize("sql", [_RECORD, _HEAD])
def test_a_flipped_byte_names_the_block_and_what_it_was(patient: Patient, sql: str) -> None:
    store = patient.store("alice")
    cid = value_of(store, sql)
    flip_byte(store, cid)
    problem = patient.only_problem()
    assert (problem.check, problem.status, problem.subject) == ("blocks", "error", str(store))
    assert cid in problem.message
    named = "app.bsky.actor.profile/self" if sql == _RECORD else "the current commit"
    assert named in problem.message
    assert str(store) in problem.remedy


def test_a_flipped_byte_in_a_node_is_told_once(patient: Patient) -> None:
    root = tree_root(patient)
    flip_byte(patient.store("alice"), root)
    problem = patient.only_problem()
    assert problem.check == "blocks"
    assert root in problem.message


def test_a_missing_node_is_told_as_a_broken_tree(patient: Patient) -> None:
    root = tree_root(patient)
    delete_block(patient.store("alice"), root)
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("tree", str(patient.store("alice")))
    assert root in problem.message
    assert "restore" in problem.remedy


def problem_of_commit(patient: Patient, head_rev: str) -> Finding:
    """What is said of alice's commit, once its row has another rev; the log disagrees, too."""
    store = patient.store("alice")
    with changed(store) as db:
        db.run("UPDATE repo_root SET rev = ?", (head_rev,))
    (problem,) = [each for each in patient.problems() if each.check == "commit"]
    assert problem.subject == str(store)
    return problem


def test_a_commit_that_was_imported_is_no_damage(patient: Patient) -> None:
    problem = problem_of_commit(patient, "3zzzzzzzzzzz2")
    assert problem.status == "warning"
    assert "was imported" in problem.message
    assert "activate" in problem.remedy


def test_a_commit_that_is_newer_than_its_head_is_told(patient: Patient) -> None:
    problem = problem_of_commit(patient, "3aaaaaaaaaaa2")
    assert problem.status == "error"
    assert "but should have 3aaaaaaaaaaa2" in problem.message


def test_a_missing_commit_is_told(patient: Patient) -> None:
    store = patient.store("alice")
    delete_block(store, value_of(store, _HEAD))
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("commit", str(store))
    assert "is missing" in problem.message


def test_a_head_with_another_rev_than_its_commit_is_told(patient: Patient) -> None:
    store = patient.store("alice")
    with changed(store) as db:
        db.run("UPDATE repo_root SET rev = '3zzzzzzzzzz2x'")
    told = {(problem.check, problem.subject) for problem in patient.problems()}
    assert ("commit", str(store)) in told


def test_a_store_of_another_did_is_told(patient: Patient) -> None:
    shutil.copy(patient.store("bob"), patient.store("alice"))
    problem = patient.only_problem()
    assert problem.subject == str(patient.store("alice"))
    assert patient.did("bob") in problem.message


def test_a_store_without_a_head_is_told(patient: Patient) -> None:
    with changed(patient.store("alice")) as db:
        db.run("DELETE FROM repo_root")
    assert patient.only_problem().check == "commit"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM record WHERE uri = :uri", "1 record in the tree but not in the index"),
        (
            "UPDATE record SET cid = (SELECT cid FROM record WHERE uri <> :uri) WHERE uri = :uri",
            "1 record in the index with another version",
        ),
        (
            "DELETE FROM repo_block WHERE cid = (SELECT cid FROM record WHERE uri = :uri)",
            "1 record listed, but the block that holds it is missing",
        ),
        (
            "UPDATE record SET rkey = 'other' WHERE uri = :uri",
            "1 record in the index under another collection or key",
        ),
        (
            (
                "INSERT INTO record SELECT uri || '2', cid, collection, rkey || '2', repoRev,"
                " indexedAt, NULL FROM record WHERE uri = :uri"
            ),
            "1 record in the index but not in the tree",
        ),
    ],
)
def test_index_and_tree_are_compared_both_ways(
    patient: Patient, statement: str, message: str
) -> None:
    key = "app.bsky.actor.profile/self"
    with changed(patient.store("alice")) as db:
        uri = f"at://{patient.did('alice')}/{key}"
        db.run(statement.replace(":uri", "?1"), (uri,))
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("record index", str(patient.store("alice")))
    assert problem.message.startswith(message)
    assert key in problem.message
    assert problem.subject in problem.remedy


def test_records_under_another_did_are_told(patient: Patient) -> None:
    with changed(patient.store("alice")) as db:
        db.run("UPDATE record SET uri = replace(uri, 'did:plc:', 'did:plc:x') WHERE rkey = 'self'")
    missing, foreign = patient.problems()
    assert "in the tree but not in the index" in missing.message
    assert "did:plc:x" in foreign.message


def test_many_missing_rows_are_one_finding_with_examples(patient: Patient) -> None:
    with changed(patient.store("dan")) as db:
        db.run("DELETE FROM record")
    problem = patient.only_problem()
    assert problem.message.startswith("600 records in the tree but not in the index")
    assert problem.message.endswith("and 597 more")


def put_block(path: Path, cid: Cid, block: bytes) -> None:
    with changed(path) as db:
        db.run(
            "INSERT INTO repo_block SELECT ?, rev, ?, ? FROM repo_root",
            (str(cid), len(block), block),
        )


def test_stray_blocks_are_a_warning(patient: Patient) -> None:
    block = b"\xa1aa\x01"
    cid = Cid.of_dag_cbor(block)
    put_block(patient.store("alice"), cid, block)
    report = patient.examine()
    (problem,) = report.problems
    assert (problem.check, problem.status) == ("stray blocks", "warning")
    assert str(cid) in problem.message
    assert report.exit_status == 0


@pytest.mark.parametrize("cid", [Cid.of_dag_cbor(b"other"), Cid.of_raw(b"\xa1aa\x01")])
def test_a_block_under_a_wrong_cid_is_told(patient: Patient, cid: Cid) -> None:
    put_block(patient.store("alice"), cid, b"\xa1aa\x01")
    problem = patient.only_problem()
    assert problem.check == "blocks"
    assert str(cid) in problem.message


def test_another_key_is_found_by_the_signature(patient: Patient) -> None:
    patient.key("alice").write_bytes(K256PrivateKey.generate().export())
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("commit", "error")
    assert problem.subject == str(patient.key("alice"))
    assert "has not signed" in problem.message
    assert "backup" in problem.remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"short", "has 5 bytes"), (b"\x00" * 32, "no private key"), (None, "is missing")],
)
def test_a_key_file_that_is_no_key_is_told(
    patient: Patient, content: bytes | None, message: str
) -> None:
    key = patient.key("alice")
    key.unlink() if content is None else key.write_bytes(content)
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("signing key", str(key))
    assert message in problem.message


@pytest.mark.parametrize(
    ("damage", "message", "needs_bytes"),
    [
        (lambda path: path.unlink(), "1 blob file missing", False),
        (lambda path: os.truncate(path, 10), "(10 bytes instead of 95)", False),
        (lambda path: path.write_bytes(b"x" * 95), "not what the CID says", True),
    ],
)
def test_a_damaged_blob_is_told(
    patient: Patient, damage: Callable[[Path], None], message: str, needs_bytes: bool
) -> None:
    blob = patient.blobs("alice")[0]
    damage(blob)
    if needs_bytes:
        assert patient.problems() == ()
    problem = patient.only_problem(blobs=True)
    assert (problem.check, problem.subject) == ("blobs", str(blob.parent))
    assert message in problem.message
    assert blob.name in problem.message


def test_a_blob_under_takedown_is_looked_for_in_quarantine(patient: Patient) -> None:
    blob = patient.blobs("alice")[0]
    with changed(patient.store("alice")) as db:
        db.run("UPDATE blob SET takedownRef = 'x' WHERE cid = ?", (blob.name,))
    moved = patient.data / "blobs" / "quarantine" / patient.did("alice") / blob.name
    moved.parent.mkdir(parents=True)
    blob.rename(moved)
    assert patient.problems(blobs=True) == ()


def test_blobs_that_were_never_uploaded_are_a_warning(patient: Patient) -> None:
    with changed(patient.store("bob")) as db:
        db.run("INSERT INTO record_blob VALUES ('bafkreibogus', 'at://x/y/z')")
    problem = patient.only_problem()
    assert (problem.status, problem.check) == ("warning", "blobs")
    assert "listMissingBlobs" in problem.remedy


def overwrite_page(path: Path, table: str) -> None:
    with changed(path) as db:
        page = int(db.value("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)))
        size = int(db.value("PRAGMA page_size"))
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: overwrite_page(path, "repo_block"),
        lambda path: overwrite_page(path, "record_cid_idx"),
        lambda path: os.truncate(path, 8192),
        lambda path: os.truncate(path, 0),
        lambda path: path.write_bytes(b"This is no database. " * 500),
    ],
    ids=["page", "index", "cut off", "empty", "noise"],
)
def test_a_broken_file_is_told_once(patient: Patient, damage: Callable[[Path], None]) -> None:
    store = patient.store("bob")
    damage(store)
    problem = patient.only_problem()
    assert problem.check in ("database", "schema")
    assert (problem.status, problem.subject) == ("error", str(store))
    assert "restore" in problem.remedy


def test_text_that_is_none_is_damage(patient: Patient) -> None:
    with changed(patient.store("bob")) as db:
        db.run("UPDATE record SET collection = CAST(x'ff41' AS TEXT)")
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("database", str(patient.store("bob")))
    assert "UTF-8" in problem.message


def test_a_store_of_a_newer_version_is_told(patient: Patient) -> None:
    with changed(patient.store("bob")) as db:
        db.run("INSERT INTO kysely_migration VALUES ('002', '2030-01-01T00:00:00.000Z')")
    problem = patient.only_problem()
    assert (problem.check, problem.subject) == ("schema", str(patient.store("bob")))
    assert "002" in problem.message
    assert "newer" in problem.remedy


def test_an_account_without_a_store_is_told(patient: Patient) -> None:
    shutil.rmtree(patient.store("bob").parent)
    problem = patient.only_problem()
    assert (problem.status, problem.subject) == ("error", patient.did("bob"))
    assert "bob.test" in problem.message
    assert str(patient.data / "actors") in problem.remedy


def test_a_store_without_an_account_is_a_warning(patient: Patient) -> None:
    did = patient.did("bob")
    with changed(patient.account_db) as db:
        for table in ("actor", "account", "repo_root"):
            db.run(f"DELETE FROM {table} WHERE did = ?", (did,))
    problem = patient.only_problem()
    assert (problem.status, problem.subject) == ("warning", str(patient.store("bob").parent))
