"""A replica compared with the live files."""

from __future__ import annotations

import random
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from database.opening import open_database
from pds.doctor.examination import Options, examine
from pds.replication.replica.file_place import FilePlace
from pds.replication.restore.verifying import Verification, Verifier
from repo.tid import encode_tid
from tests.pds.doctor.conftest import Patient
from tests.pds.replication.restore.origin import SOURCE, Origin, target_in
from tests.reference.data import NAMES, manifest


@pytest.fixture
def live(origin: Origin, tmp_path: Path) -> Patient:
    """The server that is replicated."""
    shutil.copytree(origin.data, tmp_path / "live")
    return Patient(tmp_path / "live", manifest()["accounts"])


def contents(live: Patient) -> dict[str, Any]:
    """Every file but the indexes of WALs, in which readers note themselves."""
    return {name: file for name, file in live.contents().items() if not name.endswith("-shm")}


async def verify(origin: Origin, live: Patient, **options: Any) -> Verification:
    scratch = live.data.parent / "scratch"
    verifier = Verifier(
        FilePlace(origin.replica),
        SOURCE,
        scratch,
        target_in(live.data),
        live.environ,
        choices=random.Random(1),
    )
    return await verifier.verify(**options)


def commit(path: Path, *, age_s: float) -> None:
    """Give a live account a commit of that age; only its rev matters here."""
    rev = encode_tid(int((time.time() - age_s) * 1e6), 0)
    with closing(open_database(path)) as db:
        db.run("UPDATE repo_root SET rev = ?", (rev,))


async def test_a_whole_replica_is_sound_and_doctor_says_so(origin: Origin, live: Patient) -> None:
    found = await verify(origin, live)
    assert (found.is_sound, found.is_sample) == (True, False)
    assert (len(found.dids), found.compared, found.behind) == (6, 6, 0)
    report = examine(found.environ, Options(offline=True, blobs=True))
    assert [one for one in report.problems if one.status == "error"] == []
    assert str(live.data) not in {one.subject for one in report.findings}


async def test_a_sample_has_so_many_accounts_chosen_at_random(
    origin: Origin, live: Patient
) -> None:
    found = await verify(origin, live, sample=2)
    assert (found.is_sound, found.is_sample, found.compared) == (True, True, 2)
    assert set(found.dids) < {origin.did(name) for name in NAMES}


async def test_a_sample_of_more_accounts_than_there_are_has_all(
    origin: Origin, live: Patient
) -> None:
    assert len((await verify(origin, live, sample=1000)).dids) == 6


async def test_named_accounts_are_compared(origin: Origin, live: Patient) -> None:
    found = await verify(origin, live, dids=frozenset((origin.did("eve"),)))
    assert (found.dids, found.compared) == ([origin.did("eve")], 1)


async def test_a_commit_that_the_replica_should_have_by_now_is_named(
    origin: Origin, live: Patient
) -> None:
    commit(live.store("alice"), age_s=300)
    commit(live.store("bob"), age_s=1)
    found = await verify(origin, live)
    assert [one.did for one in found.late] == [live.did("alice")]
    assert found.late[0].late_s == pytest.approx(300, abs=60)
    assert (found.behind, found.is_sound) == (1, False)
    assert found.to_json()["late"][0]["did"] == live.did("alice")


async def test_live_files_that_are_older_than_the_replica_are_named(
    origin: Origin, live: Patient
) -> None:
    with closing(open_database(live.store("alice"))) as db:
        db.run("UPDATE repo_root SET rev = '2222222222222'")
    found = await verify(origin, live)
    assert (found.ahead, found.is_sound) == ([live.did("alice")], False)


async def test_live_files_need_not_be_there_and_are_not_touched(
    origin: Origin, live: Patient
) -> None:
    shutil.rmtree(live.store("alice").parent)
    live.store("bob").write_bytes(b"noise")
    before = contents(live)
    found = await verify(origin, live)
    assert (found.is_sound, len(found.dids), found.compared) == (True, 6, 4)
    assert contents(live) == before


async def test_what_the_replica_lacks_is_not_sound(origin: Origin, live: Patient) -> None:
    shutil.rmtree(origin.replica / origin.database("dan"))
    found = await verify(origin, live)
    assert not found.is_sound
    assert origin.did("dan") not in found.dids
    assert found.to_json()["restore"]["counts"] == {"account without database": 1}
