"""A whole server as it was at a time in the past."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from database.opening import open_database
from pds.replication.replica import names
from pds.replication.restore.options import RestoreOptions, time_text
from pds.replication.restore.report import Lack
from pds.replication.restore.services import NoAccounts
from tests.pds.replication.restore.origin import Origin

_MANY_YEARS_MS = 4_000_000_000_000


def preferences(path: Path) -> list[str]:
    with closing(open_database(path, create=False)) as db:
        return [
            value for (value,) in db.all("SELECT valueJson FROM account_pref WHERE name = 'test'")
        ]


def time_of(path: Path) -> int:
    """The time of an LTX file in a directory."""
    return round(path.stat().st_mtime_ns / 1e6)


async def test_every_database_is_as_of_then(origin: Origin, tmp_path: Path) -> None:
    as_of_ms = time_of(origin.files(origin.database("alice"))[-2])
    to = tmp_path / "restored"
    report = await origin.restore(to, as_of_ms=as_of_ms).run()
    assert (report.findings, report.off_ms) == ([], {})
    assert report.newest_ms < as_of_ms
    assert preferences(to / origin.store("alice").relative_to(origin.data)) == ["0", "1"]
    lines = list(report.lines())
    assert f"Databases are as of {time_text(as_of_ms)}; keys and blobs are the newest." in lines
    assert "Each is exactly as it was then." in lines


async def test_accounts_that_came_later_are_left_out(origin: Origin, tmp_path: Path) -> None:
    """They are in no `account.sqlite` of the time."""
    as_of_ms = time_of(origin.files(origin.database("alice"))[-1])
    later = origin.replica / names.actor_database("did:plc:later") / "ltx" / "0"
    later.mkdir(parents=True)
    first = origin.files(origin.database("bob"))[0]
    (later / first.name).write_bytes(first.read_bytes())
    # A bucket tells when a file was written; the header has the time of the transaction.
    report = await origin.restore(tmp_path / "restored", as_of_ms=as_of_ms, keys=False).run()
    assert [one.kind for one in report.findings] == [Lack.NO_ACCOUNT]
    header = bytearray(first.read_bytes())
    header[32:40] = _MANY_YEARS_MS.to_bytes(8, "big")
    (later / first.name).write_bytes(header)
    report = await origin.restore(tmp_path / "again", as_of_ms=as_of_ms).run()
    assert (report.findings, report.totals.later_accounts) == ([], 1)
    assert not list((tmp_path / "again").rglob("did:plc:later"))


async def test_a_time_before_the_replica_began_says_so(origin: Origin, tmp_path: Path) -> None:
    as_of_ms = time_of(origin.files("account.sqlite")[0])
    with pytest.raises(NoAccounts, match=r"did not exist yet.*the time if you gave one"):
        await origin.restore(tmp_path / "restored", as_of_ms=as_of_ms).run()


def test_an_interrupted_restore_knows_its_time() -> None:
    options = RestoreOptions(as_of_ms=1_795_178_321_123)
    assert options.to_json()["asOf"] == "2026-11-20T12:38:41.123Z"
    assert options.to_json() != RestoreOptions(as_of_ms=1_795_178_321_124).to_json()
