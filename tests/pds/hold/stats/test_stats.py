"""Pulls and pushes: counted without a write each, and written to records in batches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from actor_store.errors import QuotaExceeded
from database.errors import DatabaseError, DatabaseFull
from pds.hold.hold import Hold
from pds.hold.records import STATS, published_stats_rkey, stats_rkey
from pds.hold.stats.counting import MAX_PAIRS, Counts, NewPairs
from pds.hold.stats.stats import Stats
from pds.hold.stats_record import Totals
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from repo.tid import decode_tid
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON

OWNER = "did:plc:owneraaaaaaaaaaaaaaaaaaa"
OTHER = "did:plc:otheraaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return dict(HOLD_ENVIRON)


async def records(pds: Pds) -> dict[str, Any]:
    reply = await pds.get("com.atproto.repo.listRecords", repo=HOLD_DID, collection=STATS)
    return {each["uri"].rpartition("/")[2]: each["value"] for each in reply.json["records"]}


async def rev(pds: Pds) -> str:
    return str((await pds.get("com.atproto.sync.getLatestCommit", did=HOLD_DID)).json["rev"])


async def put(hold: Hold, rkey: str, **fields: Any) -> None:
    """Write a stats record as somebody else would."""
    write = prepare_write(
        hold.ctx.lexicons, "update", STATS, rkey, {"$type": STATS, **fields}, validate=False
    )

    def plan(actor: Any) -> Any:
        known = actor.record.find_cid(STATS, rkey) is not None
        return [write if known else _created(write)]

    await commit(hold.ctx, hold.did, plan)


def _created(write: Any) -> Any:
    return type(write)("create", write.collection, write.rkey, write.cid, write.block)


def stats_at(hold: Hold, at_s: float, **more: Any) -> Stats:
    """Further stats of the same hold, whose clock stands still."""
    return Stats(hold.ctx, hold.did, hold.db, hold.index, interval_s=60, clock=lambda: at_s, **more)


async def test_a_thousand_pulls_make_one_commit(pds: Pds, hold: Hold) -> None:
    before = pds.ctx.sequencer.current_seq
    for number in range(1000):
        assert hold.stats.count_pull(OWNER, f"app{number % 20}")

    await hold.stats.write_records()

    assert pds.ctx.sequencer.current_seq == before + 1
    found = await records(pds)
    assert len(found) == 20
    assert {value["pullCount"] for value in found.values()} == {50}


async def test_a_record_has_the_fields_of_both_vocabularies(pds: Pds, hold: Hold) -> None:
    stats = stats_at(hold, 1_700_000_000.5)
    stats.count_pull(OWNER, "myapp")
    await stats.write_records()

    time = "2023-11-14T22:13:20.500Z"
    assert await records(pds) == {
        stats_rkey(OWNER, "myapp"): {
            "$type": STATS,
            "did": OWNER,
            "ownerDid": OWNER,
            "repository": "myapp",
            "pullCount": 1,
            "pushCount": 0,
            "lastPull": time,
            "createdAt": time,
            "updatedAt": time,
        }
    }
    reply = await pds.get(
        "com.atproto.repo.getRecord",
        repo=HOLD_DID,
        collection=STATS,
        rkey=stats_rkey(OWNER, "myapp"),
    )
    pds.ctx.lexicons.validate_record(STATS, stats_rkey(OWNER, "myapp"), reply.json["value"])


async def test_nothing_new_makes_no_commit(pds: Pds, hold: Hold) -> None:
    hold.stats.count_pull(OWNER, "myapp")
    await hold.stats.write_records()
    before = await rev(pds)

    await hold.stats.write_records()

    assert await rev(pds) == before


async def test_more_records_than_a_commit_holds_are_several_commits(pds: Pds, hold: Hold) -> None:
    before = pds.ctx.sequencer.current_seq
    for number in range(450):
        hold.stats.count_push(OWNER, f"app{number}")

    await hold.stats.write_records()

    assert pds.ctx.sequencer.current_seq == before + 3
    assert hold.db.value("SELECT count(*) FROM stat") == 450


async def test_totals_include_what_is_in_no_record_yet(hold: Hold) -> None:
    stats = hold.stats
    stats.count_pull(OWNER, "myapp")
    await stats.write_records()
    stats.count_pull(OWNER, "myapp")
    await stats.write_journal()
    stats.count_push(OWNER, "myapp")

    totals = await stats.of(OWNER, "myapp")
    assert (totals.pulls, totals.pushes) == (2, 1)
    assert await stats.of(OWNER, "other") == Totals()


async def test_a_list_is_paged_over_all_places(hold: Hold) -> None:
    stats = hold.stats
    stats.count_push(OWNER, "a")
    stats.count_push(OTHER, "b")
    await stats.write_records()
    stats.count_push(OWNER, "c")
    await stats.write_journal()
    stats.count_push(OWNER, "b")

    first = await stats.list(OWNER, limit=2)
    rest = await stats.list(OWNER, limit=2, cursor=first[-1].repository)
    assert [each.repository for each in (*first, *rest)] == ["a", "b", "c"]
    assert all(each.totals.pushes == 1 for each in (*first, *rest))


async def test_counts_of_a_published_record_are_the_base(pds: Pds, hold: Hold) -> None:
    published = published_stats_rkey(OWNER, "myapp")
    await put(
        hold, published, ownerDid=OWNER, repository="myapp", pullCount=7, pushCount=2, odd="kept"
    )
    hold.stats.count_pull(OWNER, "myapp")
    await hold.stats.write_records()

    found = await records(pds)
    assert list(found) == [published]
    assert (found[published]["pullCount"], found[published]["pushCount"]) == (8, 2)
    assert found[published]["odd"] == "kept"


async def test_a_record_is_found_by_its_fields(pds: Pds, hold: Hold) -> None:
    await put(hold, "by-hand", did=OWNER, repository="myapp", pullCount=3, pushCount=0)
    hold.stats.count_pull(OWNER, "myapp")
    await hold.stats.write_records()

    assert {key: value["pullCount"] for key, value in (await records(pds)).items()} == {
        "by-hand": 4
    }


async def test_of_two_records_the_one_of_this_server_counts(pds: Pds, hold: Hold) -> None:
    own, published = stats_rkey(OWNER, "myapp"), published_stats_rkey(OWNER, "myapp")
    for rkey, pulls in ((published, 100), (own, 5)):
        await put(hold, rkey, did=OWNER, repository="myapp", pullCount=pulls, pushCount=0)
    hold.stats.count_pull(OWNER, "myapp")

    assert (await hold.stats.of(OWNER, "myapp")).pulls == 6
    await hold.stats.write_records()
    found = await records(pds)
    assert (found[own]["pullCount"], found[published]["pullCount"]) == (6, 100)


@pytest.mark.parametrize(
    "fields",
    [
        {"pullCount": "many", "pushCount": -3, "lastPull": "yesterday"},
        {"pullCount": 2**53 - 1, "pushCount": True, "lastPull": "2020-01-01T00:00:00"},
        {"pullCount": None, "lastPush": 7, "createdAt": 5},
        {"did": "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", "ownerDid": 3},
        {},
    ],
)
async def test_records_changed_by_hand_to_nonsense_count_again(
    pds: Pds, hold: Hold, fields: dict[str, Any]
) -> None:
    rkey = stats_rkey(OWNER, "myapp")
    await put(hold, rkey, **{"did": OWNER, "repository": "myapp", **fields})
    hold.stats.count_pull(OWNER, "myapp")
    await hold.stats.write_records()

    totals = await hold.stats.of(OWNER, "myapp")
    assert 1 <= totals.pulls <= 2**53 - 1
    assert totals.last_pull is not None
    written = [value for value in (await records(pds)).values() if value.get("updatedAt")]
    assert [value["ownerDid"] for value in written] == [OWNER]


async def test_a_deleted_record_begins_anew(pds: Pds, hold: Hold) -> None:
    hold.stats.count_pull(OWNER, "myapp")
    await hold.stats.write_records()
    write = prepare_write(
        hold.ctx.lexicons, "update", STATS, stats_rkey(OWNER, "myapp"), {}, validate=False
    )
    await commit(
        hold.ctx, hold.did, lambda _: [type(write)("delete", write.collection, write.rkey)]
    )
    assert await hold.stats.of(OWNER, "myapp") == Totals()
    hold.stats.count_pull(OWNER, "myapp")
    await hold.stats.write_records()
    assert (await hold.stats.of(OWNER, "myapp")).pulls == 1


async def test_last_pull_never_goes_back_with_the_clock(hold: Hold) -> None:
    late, early = stats_at(hold, 1_800_000_000), stats_at(hold, 1_700_000_000)
    late.count_pull(OWNER, "myapp")
    await late.write_records()
    early.count_pull(OWNER, "myapp")
    assert (await early.of(OWNER, "myapp")).last_pull == "2027-01-15T08:00:00.000Z"
    await early.write_records()

    totals = await hold.stats.of(OWNER, "myapp")
    assert (totals.pulls, totals.last_pull) == (2, "2027-01-15T08:00:00.000Z")


async def test_commits_go_on_after_the_clock_was_set_back(pds: Pds, hold: Hold) -> None:
    for at_s in (1_900_000_000, 1_600_000_000):
        stats = stats_at(hold, at_s)
        stats.count_pull(OWNER, "myapp")
        before = await rev(pds)
        await stats.write_records()
        assert decode_tid(await rev(pds)) > decode_tid(before)
    assert (await hold.stats.of(OWNER, "myapp")).pulls == 2


async def test_a_failed_commit_keeps_the_counts(
    pds: Pds, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold.stats.count_pull(OWNER, "myapp")
    with monkeypatch.context() as patch:
        # The hold's own repository is over a quota that the operator has set.
        patch.setattr(pds.ctx.actor_store, "find_quota", lambda _: 1)
        pds.ctx.actor_store.open_stores.discard(hold.did)
        with pytest.raises(QuotaExceeded):
            await hold.stats.write_records()
        assert (await hold.stats.of(OWNER, "myapp")).pulls == 1
    pds.ctx.actor_store.open_stores.discard(hold.did)

    await hold.stats.write_records()

    assert [value["pullCount"] for value in (await records(pds)).values()] == [1]


async def test_a_full_disk_leaves_counts_in_memory(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold.stats.count_pull(OWNER, "myapp")
    pages = hold.db.value("PRAGMA page_count")
    hold.db.run(f"PRAGMA max_page_count = {pages}")
    for number in range(2000):
        hold.stats.count_push(OWNER, f"{'long' * 40}{number}")
    with pytest.raises(DatabaseFull):
        await hold.stats.write_records()
    hold.db.run("PRAGMA max_page_count = 1000000")

    assert (await hold.stats.of(OWNER, "myapp")).pulls == 1
    await hold.stats.write_records()
    assert (await hold.stats.of(OWNER, "myapp")).pulls == 1
    assert hold.db.value("SELECT count(*) FROM stat") == 2001


async def test_a_race_with_another_writer_counts_once(
    pds: Pds, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changes the record after it was read, before the commit."""
    rkey = stats_rkey(OWNER, "myapp")
    await put(hold, rkey, did=OWNER, repository="myapp", pullCount=1, pushCount=0)
    hold.stats.count_pull(OWNER, "myapp")
    raced: list[bool] = []

    async def race(*args: Any) -> Any:
        if not raced:
            raced.append(True)
            await put(hold, rkey, did=OWNER, repository="myapp", pullCount=10, pushCount=0)
        return await commit(*args)

    monkeypatch.setattr("pds.hold.stats.writer.commit", race)
    await hold.stats.write_records()

    assert raced
    assert (await records(pds))[rkey]["pullCount"] == 11


async def test_stopping_writes_everything(pds: Pds, hold: Hold) -> None:
    hold.stats.count_pull(OWNER, "myapp")
    await hold.stats.close()
    assert [value["pullCount"] for value in (await records(pds)).values()] == [1]


async def test_counts_are_written_by_themselves(hold: Hold) -> None:
    stats = Stats(hold.ctx, hold.did, hold.db, hold.index, interval_s=0.001, journal_s=0.001)
    await stats.start()
    written = asyncio.Event()
    hold.ctx.event_log.on_append(written.set)
    stats.count_pull(OWNER, "myapp")
    await written.wait()
    await stats.close()
    assert (await hold.stats.of(OWNER, "myapp")).pulls == 1


async def test_what_an_owner_has_forgotten_is_not_written(pds: Pds, hold: Hold) -> None:
    hold.stats.count_pull(OWNER, "journaled")
    await hold.stats.write_journal()
    hold.stats.count_pull(OWNER, "remembered")
    hold.stats.count_pull(OTHER, "stays")

    await hold.stats.forget(OWNER)
    await hold.stats.write_records()

    assert [value["repository"] for value in (await records(pds)).values()] == ["stays"]


async def test_strangers_add_only_so_many_new_images(hold: Hold) -> None:
    stats = stats_at(hold, 1_700_000_000, new_pairs=NewPairs(2, monotonic=lambda: 0.0))
    stats.count_push(OWNER, "pushed")
    await stats.write_journal()
    for number in range(5):
        stats.count_pull(OWNER, f"made-up{number}")
    stats.count_pull(OWNER, "pushed")
    with capture_logs() as logs:
        await stats.write_records()

    found = await stats.list(OWNER, limit=100)
    assert [each.repository for each in found] == ["made-up0", "made-up1", "pushed"]
    assert [line["images"] for line in logs if "images" in line] == [3], "the operator is told"


def test_new_images_are_allowed_again_after_a_while() -> None:
    now = [0.0]
    new = NewPairs(2, monotonic=lambda: now[0])
    assert new.left() == 2
    new.use(2)
    assert new.left() == 0
    now[0] = 1800.0
    assert new.left() == 1
    new.use(1)
    assert new.left() == 0


async def test_attempts_that_fail_use_up_no_room_for_new_images(hold: Hold) -> None:
    stats = stats_at(hold, 1_700_000_000, new_pairs=NewPairs(2, monotonic=lambda: 0.0))
    stats.count_pull(OWNER, "one")
    stats.count_pull(OWNER, "two")
    hold.db.run("CREATE TRIGGER full BEFORE INSERT ON count BEGIN SELECT raise(ABORT, 'full'); END")
    for _ in range(3):
        with pytest.raises(DatabaseError):
            await stats.write_journal()
    hold.db.run("DROP TRIGGER full")
    await stats.write_records()
    found = await stats.list(OWNER, limit=100)
    assert [each.repository for each in found] == ["one", "two"]


def test_memory_is_bounded() -> None:
    counts = Counts()
    counted = [counts.pull(OWNER, f"app{number}") for number in range(MAX_PAIRS + 10)]
    assert (len(counts), counted.count(False)) == (MAX_PAIRS, 10)
    assert counts.pull(OWNER, "app0"), "a known pair still counts"


@pytest.mark.parametrize(
    ("did", "repository"),
    [
        (OWNER, ""),
        (OWNER, "a" * 257),
        (OWNER, "<script>"),
        (OWNER, "two words"),
        (OWNER, "line\nbreak"),
        (OWNER, "ünicode"),
        ("did:web:" + "a" * 600, "myapp"),
    ],
)
def test_names_that_are_none_are_not_counted(did: str, repository: str) -> None:
    counts = Counts()
    assert not counts.pull(did, repository)
    assert not counts.push(did, repository)
    assert len(counts) == 0
