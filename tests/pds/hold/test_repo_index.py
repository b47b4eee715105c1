"""The index of layer and stats records follows the repository, whoever changes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actor_store.writes import PreparedWrite
from database.errors import DatabaseFull
from pds.hold import repo_index
from pds.hold.hold import Hold
from pds.hold.records import LAYER, STATS
from pds.hold.repo_index import RepoIndex
from pds.hold.stats_record import Totals, stats_value, totals_of
from pds.repos.commits import commit
from repo import dagcbor
from repo.cid import Cid
from sequencer.events import SyncEvent
from tests.pds.hold.conftest import HOLD_ENVIRON
from tests.pds.hold.pushing import digest

ALICE, BOB = "did:plc:alice", "did:plc:bob"
MANIFEST = f"at://{ALICE}/io.atcr.manifest/abc"


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return dict(HOLD_ENVIRON)


def record(action: Any, rkey: str, collection: str = LAYER, **fields: Any) -> PreparedWrite:
    block = dagcbor.encode_checked({"$type": collection, **fields})
    return PreparedWrite(action, collection, rkey, Cid.of_dag_cbor(block), block)


def layer(rkey: str, text: str, *, user: str = ALICE, action: str = "create") -> PreparedWrite:
    return record(
        action, rkey, digest=digest(text), size=len(text), userDid=user, manifest=MANIFEST
    )


async def write(hold: Hold, *writes: PreparedWrite) -> None:
    await commit(hold.ctx, hold.did, lambda _: writes)


async def write_unseen(hold: Hold, *writes: PreparedWrite) -> None:
    """Commit as another process would."""
    await hold.ctx.actor_store.commit(hold.did, lambda _: writes)


async def usage(hold: Hold, user: str = ALICE) -> tuple[int, int]:
    found = await hold.layers.usage(user)
    return found.blobs, found.size_bytes


def new_index(hold: Hold) -> RepoIndex:
    return RepoIndex(hold.ctx.actor_store, hold.did, hold.db)


async def test_every_change_is_followed_at_once(hold: Hold) -> None:
    await write(hold, layer("a", "one"), layer("b", "three"), layer("c", "one"))
    assert await usage(hold) == (2, 8)
    await write(hold, layer("b", "fourteen", action="update"))
    assert await usage(hold) == (2, 11)
    await write(hold, layer("a", "one", user=BOB, action="update"))
    assert (await usage(hold), await usage(hold, BOB)) == ((2, 11), (1, 3))
    await write(hold, PreparedWrite("delete", LAYER, "b"), PreparedWrite("delete", LAYER, "c"))
    assert (await usage(hold), await usage(hold, BOB)) == ((0, 0), (1, 3))


async def test_changes_by_others_are_found_at_the_start(hold: Hold) -> None:
    await write(hold, layer("a", "one"), layer("b", "two"), layer("d", "four"))
    await hold.index.close()
    await write_unseen(
        hold,
        PreparedWrite("delete", LAYER, "b"),
        layer("c", "three"),
        layer("d", "fives", action="update"),
    )
    index = new_index(hold)
    await index.start()
    rows = hold.db.all("SELECT rkey, digest FROM layer ORDER BY rkey")
    assert rows == [("a", digest("one")), ("c", digest("three")), ("d", digest("fives"))]
    assert await usage(hold) == (3, 13)


async def test_an_orderly_stop_needs_no_comparison(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(hold, layer("a", "one"))
    await hold.index.close()
    compared = []
    monkeypatch.setattr(RepoIndex, "_compare", lambda self: compared.append(self))
    await new_index(hold).start()
    assert compared == []


async def test_an_import_makes_it_compare(hold: Hold) -> None:
    await write(hold, layer("a", "one"))
    assert await usage(hold) == (1, 3)
    await write_unseen(hold, layer("b", "two"), PreparedWrite("delete", LAYER, "a"))
    hold.index.observe(SyncEvent(did=hold.did, rev="", blocks=b""))
    assert hold.db.all("SELECT rkey FROM layer") == [("a",)]
    await hold.index.follow()
    assert hold.db.all("SELECT rkey FROM layer") == [("b",)]


async def test_events_of_others_do_not_matter(hold: Hold) -> None:
    hold.index.observe(SyncEvent(did=ALICE, rev="", blocks=b""))
    await write_unseen(hold, layer("a", "one"))
    await hold.index.follow()
    assert hold.db.all("SELECT rkey FROM layer") == []


async def test_pages_are_compared_to_their_ends(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repo_index, "_PAGE", 3)
    await write(hold, *(layer(f"k{number:02}", f"layer{number}") for number in range(20)))
    await hold.index.follow()
    deleted = [PreparedWrite("delete", LAYER, f"k{number:02}") for number in range(3, 15)]
    added = [layer(f"k{number:02}x", "new") for number in range(10)]
    await write_unseen(hold, *deleted, *added)

    await new_index(hold).start()

    expected = {f"k{number:02}" for number in (0, 1, 2, *range(15, 20))}
    expected |= {f"k{number:02}x" for number in range(10)}
    assert {rkey for (rkey,) in hold.db.all("SELECT rkey FROM layer")} == expected


async def test_a_record_that_was_taken_down_still_refers(hold: Hold) -> None:
    await write(hold, layer("a", "one"))
    await hold.ctx.actor_store.transact(
        hold.did, lambda actor: actor.record.set_takedown(LAYER, "a", "reason")
    )
    await hold.index.follow()
    hold.db.run("DELETE FROM indexed")
    await new_index(hold).start()
    assert hold.images.use.is_referred(digest("one"))


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"size": -5}, 0),
        ({"size": 2**53 - 1}, 2**43),
        ({"size": "big"}, 0),
        ({"size": True}, 0),
        ({"userDid": 5, "manifest": None, "size": 7}, 7),
        ({}, 0),
    ],
)
async def test_records_made_by_hand_keep_their_blob(
    hold: Hold, fields: dict[str, Any], size: int
) -> None:
    await write(hold, record("create", "a", digest=digest("one"), **fields))
    await hold.index.follow()
    assert hold.images.use.is_referred(digest("one"))
    assert hold.db.value("SELECT sizeBytes FROM layer") == size


async def test_records_without_a_digest_or_a_name_are_passed_over(hold: Hold) -> None:
    await write(hold, record("create", "a", digest=5), record("create", "b", STATS, pullCount=3))
    await hold.index.follow()
    assert hold.db.value("SELECT count(*) FROM layer") == 0
    assert hold.db.value("SELECT count(*) FROM stat") == 0


async def test_a_failed_update_is_tried_again(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(hold, layer("a", "one"))

    def fail(*_: Any) -> None:
        raise OSError("the disk is gone for a moment")

    with monkeypatch.context() as patch:
        patch.setattr(RepoIndex, "_store", fail)
        with pytest.raises(OSError, match="for a moment"):
            await hold.index.follow()
    assert await usage(hold) == (1, 3)


# --- Bodies of stats records

TIMES = st.one_of(st.none(), st.just("2026-01-01T00:00:00.000Z"), st.text(max_size=30))
VALUES = st.dictionaries(
    st.sampled_from(["pullCount", "pushCount", "lastPull", "lastPush", "createdAt", "extra"]),
    st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), TIMES, st.booleans(), st.binary(max_size=3)),
)


@given(VALUES, st.integers(0, 2**53 - 1))
@settings(max_examples=200)
def test_a_record_says_what_was_written_whatever_was_there(value: Any, pulls: int) -> None:
    totals = totals_of(value) + Totals(pulls, 1, "2026-01-02T00:00:00.000Z")
    body = stats_value(value, did=ALICE, repository="myapp", totals=totals, now="now")
    assert totals_of(dagcbor.decode(dagcbor.encode_checked(body))) == totals  # type: ignore[arg-type]
    assert body.get("extra") == value.get("extra")
    assert totals.pulls >= pulls


def test_times_are_brought_to_one_form() -> None:
    def last(text: str) -> str | None:
        return totals_of({"lastPull": text}).last_pull

    assert last("2026-01-01T02:00:00+02:00") == "2026-01-01T00:00:00.000Z"
    assert last("2026-01-01T00:00:00.123456Z") == "2026-01-01T00:00:00.123Z"
    assert last("2026-01-01T00:00:00") is None
    assert last("0001-01-01T00:00:00+23:00") is None


def test_references_to_blobs_are_not_kept() -> None:
    ref = Cid.of_dag_cbor(b"\xa0")
    blob = {"$type": "blob", "ref": ref, "mimeType": "image/png", "size": 3}
    body = stats_value(
        {"picture": blob, "nested": [{"in": blob}], "kept": [1]},
        did=ALICE,
        repository="myapp",
        totals=Totals(),
        now="now",
    )
    assert ("picture" in body, "nested" in body, body["kept"]) == (False, False, [1])


async def test_an_index_that_could_not_be_written_at_the_start_is_written_later(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a full disk, which must not prevent the server from starting."""
    images = hold.images
    await write(hold, layer("a", "one"))
    await images.close()
    await write_unseen(hold, layer("b", "three"))
    images._index = images.layers._index = new_index(hold)

    def fail(*_: Any) -> None:
        raise DatabaseFull(hold.db.path, "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(RepoIndex, "_store", fail)
        await images.start()
        with pytest.raises(DatabaseFull):
            await usage(hold)
    assert await usage(hold) == (2, 8)
