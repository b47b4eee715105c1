"""Whole restores, from replicas that the real Litestream has written."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from database.opening import open_database
from pds.doctor.examination import Options, examine
from pds.replication.errors import ReplicaRefused, ReplicationError, WrongKeySecret
from pds.replication.ledger.ledger import Ledger
from pds.replication.ltx.names import LtxName
from pds.replication.replica import names
from pds.replication.replica.file_place import FilePlace
from pds.replication.restore.marker import MARKER, Marker, OtherRestore, refuse_unfinished
from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.report import Lack
from pds.replication.restore.services import NoAccounts
from pds.replication.restore.target import TargetNotEmpty, scratch_environ
from tests.pds.doctor.conftest import Patient
from tests.pds.replication.ltx.made import make_ltx
from tests.pds.replication.real_litestream import in_directory, running_litestream
from tests.pds.replication.restore.origin import DELETED_DID, Origin, contents
from tests.reference.data import NAMES, manifest


class FailingPlace(FilePlace):
    """Refuses to be read after so many files."""

    def __init__(self, root: Path, *, after: int) -> None:
        super().__init__(root)
        self.left = after
        self.names: list[str] = []

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        if not self.left:
            raise ReplicaRefused("enough")
        self.left -= 1
        self.names.append(name)
        return await super().read(name, max_bytes=max_bytes)


def summary(origin: Origin, to: Path) -> None:
    """Everything in `to` is as the origin has it."""
    for name in ("account.sqlite", "sequencer.sqlite", "did_cache.sqlite"):
        assert contents(to / name) == contents(origin.data / name)
    for name in NAMES:
        store = origin.store(name).relative_to(origin.data)
        assert contents(to / store) == contents(origin.data / store)
        assert (to / store).with_name("key").read_bytes() == (origin.data / store).with_name(
            "key"
        ).read_bytes()
    for path in (*origin.blobs(), *origin.reserved()):
        assert (to / path.relative_to(origin.data)).read_bytes() == path.read_bytes()


async def test_everything_comes_back_as_it_was(origin: Origin, tmp_path: Path) -> None:
    to = tmp_path / "restored"
    report = await origin.restore(to).run()
    assert report.findings == []
    summary(origin, to)
    totals = report.totals
    assert (totals.accounts, totals.databases, totals.keys) == (6, 6, 6)
    assert (totals.reserved_keys, totals.blobs) == (1, len(origin.blobs()))
    assert "The replica lacked nothing." in list(report.lines())
    assert json.loads(json.dumps(report.to_json()))["complete"] is True


async def test_nothing_but_the_server_s_files_is_left_and_only_its_user_can_read_them(
    origin: Origin, tmp_path: Path
) -> None:
    to = tmp_path / "restored"
    await origin.restore(to).run()
    found = {str(path.relative_to(to)) for path in to.rglob("*") if path.is_file()}
    expected = {
        str(path.relative_to(origin.data))
        for path in origin.data.rglob("*")
        if path.is_file() and "-litestream" not in str(path) and "tempt" not in path.parts
        if not path.name.endswith(("-wal", "-shm"))
    }
    assert found == {*expected, "holdfast.lock"}
    assert [path for path in to.rglob("*") if path.stat().st_mode & 0o077] == []


async def test_doctor_finds_nothing_wrong(origin: Origin, tmp_path: Path) -> None:
    to = tmp_path / "restored"
    await origin.restore(to).run()
    patient = Patient(to, manifest()["accounts"])
    patient.environ["PDS_DATA_DIRECTORY"] = "/elsewhere"
    patient.environ["PDS_ACCOUNT_DB_LOCATION"] = "/elsewhere/account.sqlite"
    environ = scratch_environ(patient.environ, to)
    (to / "blobs").rename(environ["PDS_BLOBSTORE_DISK_LOCATION"])
    report = examine(environ, Options(offline=True, blobs=True))
    assert [one for one in report.problems if one.status == "error"] == []
    assert "repositories" in {one.check for one in report.findings if one.status == "ok"}


async def test_what_the_replica_lacks_is_listed_and_stops_nothing(
    origin: Origin, tmp_path: Path
) -> None:
    shutil.rmtree((origin.replica / origin.database("bob")).parent)
    (origin.replica / names.actor_key(origin.did("dan"))).unlink()
    (origin.replica / names.actor_key(origin.did("eve"))).write_bytes(b"no key")
    (blob, other, *_) = sorted((origin.replica / "blobs" / origin.did("alice")).iterdir())
    blob.unlink()
    other.write_bytes(other.read_bytes()[:-1])
    to = tmp_path / "restored"
    report = await origin.restore(to).run()
    assert {(one.kind, one.subject) for one in report.findings} == {
        (Lack.NO_DATABASE, origin.did("bob")),
        (Lack.NO_KEY, origin.did("dan")),
        (Lack.DAMAGED_KEY, origin.did("eve")),
        (Lack.BLOB, origin.did("alice")),
        (Lack.DAMAGED_BLOB, origin.did("alice")),
    }
    assert blob.name in report.of_kind(Lack.BLOB)[0].detail
    assert other.name in report.of_kind(Lack.DAMAGED_BLOB)[0].detail
    assert (report.totals.accounts, report.totals.databases, report.totals.keys) == (6, 5, 3)
    text = "\n".join(report.lines())
    assert origin.did("bob") in text
    assert "pds key rotate" in text


@pytest.mark.parametrize("database", ["sequencer.sqlite", "did_cache.sqlite"])
async def test_a_replica_without_a_database_of_the_server_can_be_restored(
    origin: Origin, tmp_path: Path, database: str
) -> None:
    shutil.rmtree(origin.replica / database)
    report = await origin.restore(tmp_path / "restored").run()
    found = [(one.kind, one.subject) for one in report.findings]
    assert found == ([(Lack.SERVICE, database)] if database == "sequencer.sqlite" else [])
    assert report.totals.databases == 6


async def test_an_event_log_that_sqlite_cannot_read_is_listed_and_stops_nothing(
    origin: Origin, tmp_path: Path
) -> None:
    shutil.rmtree(origin.replica / "sequencer.sqlite")
    noise = make_ltx(1, 1, {1: b"noise".ljust(512)}, length=1)
    file = origin.replica / LtxName(0, 1, 1).path("sequencer.sqlite")
    file.parent.mkdir(parents=True)
    assert isinstance(noise.data, bytes)
    file.write_bytes(noise.data)
    to = tmp_path / "restored"
    report = await origin.restore(to).run()
    assert [(one.kind, one.subject) for one in report.findings] == [
        (Lack.UNREADABLE, "sequencer.sqlite")
    ]
    assert report.totals.databases == 6
    assert not (to / MARKER).exists()


async def test_without_accounts_nothing_is_restored_or_left(origin: Origin, tmp_path: Path) -> None:
    shutil.rmtree(origin.replica / "account.sqlite")
    to = tmp_path / "restored"
    with pytest.raises(NoAccounts, match=r"file:///replica has no usable account\.sqlite"):
        await origin.restore(to).run()
    assert not to.exists()


async def test_a_directory_with_files_is_refused_and_stays_as_it_is(
    origin: Origin, tmp_path: Path
) -> None:
    to = tmp_path / "restored"
    to.mkdir()
    (to / "account.sqlite").write_text("precious")
    with pytest.raises(TargetNotEmpty, match=r"restored/account\.sqlite\. Restore to an empty"):
        await origin.restore(to).run()
    assert [path.name for path in to.iterdir()] == ["account.sqlite"]
    assert (to / "account.sqlite").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_root_makes_no_files_for_another_user(origin: Origin, tmp_path: Path) -> None:
    to = tmp_path / "restored"
    to.mkdir()
    os.chown(to, 12345, 12345)
    with pytest.raises(ReplicationError, match="sudo --user='#12345' pds restore"):
        await origin.restore(to).run()
    assert list(to.iterdir()) == []


async def test_settings_may_lie_in_the_directory(origin: Origin, tmp_path: Path) -> None:
    to = tmp_path / "restored"
    (to / "lost+found").mkdir(parents=True)
    (to / "pds.env").write_text("PDS_HOSTNAME=example.com")
    report = await origin.restore(to).run()
    assert report.is_complete
    assert (to / "pds.env").read_text() == "PDS_HOSTNAME=example.com"


async def test_an_interrupted_restore_goes_on_and_remembers_what_it_found(
    origin: Origin, tmp_path: Path
) -> None:
    to = tmp_path / "restored"
    # Of a database that is restored first.
    damaged = origin.files("account.sqlite")[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (origin.replica / names.actor_key(origin.did(first_of(origin)))).unlink()
    place = FailingPlace(origin.replica, after=9)
    with pytest.raises(ReplicaRefused, match="enough"):
        await origin.restore(to, place=place, parallelism=1).run()
    with pytest.raises(OtherRestore, match="not wholly restored from file:///replica"):
        refuse_unfinished(to)
    again = FailingPlace(origin.replica, after=-1)
    report = await origin.restore(to, place=again, parallelism=2).run()
    assert report.is_resumed
    assert [one.kind for one in report.findings] == [Lack.OLDER_STATE, Lack.NO_KEY]
    applied = {name for name in place.names[:-1] if name.endswith(".ltx")}
    assert applied.isdisjoint(again.names)
    assert report.totals.databases == 6
    assert not (to / MARKER).exists()
    assert not list(to.rglob("*restor*"))
    refuse_unfinished(to)


async def test_a_restore_that_was_cut_off_while_it_noted_its_beginning_can_be_repeated(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "restored"
    to.mkdir()

    def cut_off(_descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pds.replication.restore.marker.os.fsync", cut_off)
        with pytest.raises(KeyboardInterrupt):
            Marker.write(to, "file:///replica", RestoreOptions())
    assert any(to.iterdir())
    report = await origin.restore(to).run()
    assert report.is_complete
    assert not list(to.rglob("*restor*"))


def first_of(origin: Origin) -> str:
    """The account that a listing has first."""
    return min(NAMES, key=lambda name: names.actor_directory(origin.did(name)))


async def test_a_cancelled_restore_goes_on(origin: Origin, tmp_path: Path) -> None:
    to = tmp_path / "restored"
    reached = asyncio.Event()

    def progress(step: str, done: int, _total: int) -> None:
        if step == "accounts" and done:
            reached.set()

    task = asyncio.create_task(origin.restore(to, progress=progress, parallelism=1).run())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    report = await origin.restore(to).run()
    assert report.is_complete
    summary(origin, to)


async def test_an_interrupted_restore_goes_on_only_with_the_same_options(
    origin: Origin, tmp_path: Path
) -> None:
    to = tmp_path / "restored"
    place = FailingPlace(origin.replica, after=5)
    with pytest.raises(ReplicaRefused):
        await origin.restore(to, place=place).run()
    with pytest.raises(OtherRestore, match="with other options"):
        await origin.restore(to, blobs=False).run()
    assert (await origin.restore(to).run()).is_complete


async def test_a_restore_that_runs_keeps_others_out(origin: Origin, tmp_path: Path) -> None:
    to = tmp_path / "restored"
    reached = asyncio.Event()
    first = asyncio.create_task(origin.restore(to, progress=lambda *_: reached.set()).run())
    await reached.wait()
    with pytest.raises(Exception, match="Another PDS process"):
        await origin.restore(to).run()
    assert (await first).is_complete


@pytest.mark.parametrize(
    ("did", "is_back"), [(DELETED_DID, False), ("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", True)]
)
async def test_what_has_no_account_comes_back_unless_it_was_deleted(
    origin: Origin, tmp_path: Path, did: str, *, is_back: bool
) -> None:
    """An account of the last second may be missing in account.sqlite."""
    shutil.copytree(
        (origin.replica / origin.database("bob")).parent,
        origin.replica / names.actor_directory(did),
    )
    to = tmp_path / "restored"
    report = await origin.restore(to).run()
    found = [(one.kind, one.subject) for one in report.findings]
    assert found == ([(Lack.NO_ACCOUNT, did)] if is_back else [])
    assert report.totals.deleted_accounts == (not is_back)
    assert bool(list(to.glob(f"actors/??/{did}"))) == is_back


async def test_sealed_keys_without_a_secret_are_refused_at_once(
    origin: Origin, tmp_path: Path
) -> None:
    manifest = {
        "format": 1,
        "service_did": "did:web:localhost",
        "server_id": "x",
        "sealing": "recipient",
        "recipient": "age1xyz",
    }
    (origin.replica / names.MANIFEST).write_text(json.dumps(manifest))
    to = tmp_path / "restored"
    with pytest.raises(WrongKeySecret, match="for age1xyz: give the file"):
        await origin.restore(to).run()
    assert not to.exists()
    report = await origin.restore(to, keys=False).run()
    assert report.is_complete
    assert list(to.rglob("key")) == []


async def test_what_the_replicator_knew_to_be_missing_is_listed(
    origin: Origin, tmp_path: Path, ledger: Path
) -> None:
    alice, bob = origin.did("alice"), origin.did("bob")
    rows = [(alice, 4_000_000_000_000, 1), (bob, 1, 1), (origin.did("dan"), 4_000_000_000_000, 0)]
    with closing(open_database(ledger)) as db:
        for did, since_ms, urgent in rows:
            db.run(
                "INSERT INTO actor (shard, did, dirtySinceMs, urgent) VALUES (0, ?, ?, ?)",
                (did, since_ms, urgent),
            )
    with running_litestream(in_directory(origin.replica)) as litestream:
        litestream.sync(ledger, "replication.sqlite")
    report = await origin.restore(tmp_path / "restored").run()
    assert [(one.kind, one.subject, one.detail) for one in report.findings] == [
        (Lack.PENDING, alice, "since 2096-10-02T07:06:40.000Z")
    ]
    assert (tmp_path / "restored" / "replication.sqlite").exists()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """An empty ledger of the replicator."""
    (tmp_path / "ledger").mkdir()
    path = tmp_path / "ledger" / "replication.sqlite"
    Ledger.open(path).close()
    return path
