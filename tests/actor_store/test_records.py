"""Reading the records of an actor: one, pages, collections, backlinks, takedowns."""

from __future__ import annotations

from typing import Any

import pytest

from actor_store.backlinks import Backlink, backlinks_of
from actor_store.errors import RecordNotFound
from actor_store.store import ActorStore
from actor_store.transactor import ActorStoreTransactor
from repo.cid import Cid
from tests.actor_store.support import (
    DID,
    OTHER_DID,
    POST,
    commit,
    contents,
    delete,
    edit,
    post,
    put,
)

LIKE = "app.bsky.feed.like"
FOLLOW = "app.bsky.graph.follow"
SUBJECT = f"at://{OTHER_DID}/app.bsky.feed.post/3k"


async def _rkeys(store: ActorStore, **options: Any) -> list[str]:
    options = {"limit": 50, **options}
    refs = await store.read(DID, lambda actor: actor.record.list_refs(POST, **options))
    return [ref.rkey for ref in refs]


@pytest.fixture
async def posts(actors: ActorStore) -> ActorStore:
    """Posts a to e, and records whose collections sort next to theirs."""
    await commit(
        actors,
        DID,
        [
            *(post(rkey, f"text {rkey}") for rkey in "abcde"),
            put("app.bsky.feed.posts", "z", n=1),
            put("app.bsky.feed.pos", "z", n=1),
            put("app.bsky.feed.post.x", "z", n=1),
        ],
    )
    return actors


async def test_record_is_found_by_its_key(posts: ActorStore) -> None:
    record = await posts.read(DID, lambda actor: actor.record.get(POST, "a"))
    expected = post("a", "text a")
    assert (record.uri, record.cid, record.block) == (
        f"at://{DID}/{POST}/a",
        expected.cid,
        expected.block,
    )
    ref = await posts.read(DID, lambda actor: actor.record.find_ref(POST, "a"))
    assert ref is not None
    assert (ref.uri, ref.cid, ref.rkey) == (record.uri, record.cid, "a")
    assert record.indexed_at.endswith("Z")
    assert len(record.indexed_at) == 24
    assert await posts.read(DID, lambda actor: actor.record.find_cid(POST, "a")) == expected.cid


async def test_absent_record_or_version_is_not_found(posts: ActorStore) -> None:
    assert await posts.read(DID, lambda actor: actor.record.find(POST, "x")) is None
    assert await posts.read(DID, lambda actor: actor.record.find_cid(POST, "x")) is None
    with pytest.raises(RecordNotFound, match=f"at://{DID}/{POST}/x"):
        await posts.read(DID, lambda actor: actor.record.get(POST, "x"))
    with pytest.raises(RecordNotFound):
        await posts.read(DID, lambda actor: actor.record.get(POST, "a", Cid.of_dag_cbor(b"")))


async def test_pages_fall_by_key_or_rise(posts: ActorStore) -> None:
    assert await _rkeys(posts) == list("edcba")
    assert await _rkeys(posts, reverse=True) == list("abcde")
    assert await _rkeys(posts, limit=2) == ["e", "d"]
    assert await _rkeys(posts, limit=2, cursor="d") == ["c", "b"]
    assert await _rkeys(posts, limit=2, cursor="b", reverse=True) == ["c", "d"]
    assert await _rkeys(posts, cursor="a") == []


async def test_page_does_not_cost_more_in_a_larger_collection(posts: ActorStore) -> None:
    plan = await posts.read(
        DID,
        lambda actor: actor.repo._db.all(
            "EXPLAIN QUERY PLAN SELECT uri FROM record WHERE uri > ? AND uri < ?"
            " AND takedownRef IS NULL ORDER BY uri DESC LIMIT ?",
            ("a", "b", 1),
        ),
    )
    assert "TEMP B-TREE" not in str(plan)


async def test_collections_are_named_once_each(posts: ActorStore) -> None:
    assert await posts.read(DID, lambda actor: actor.record.collections()) == [
        "app.bsky.feed.pos",
        "app.bsky.feed.post",
        "app.bsky.feed.post.x",
        "app.bsky.feed.posts",
    ]
    assert await posts.read(DID, lambda actor: actor.record.count()) == 8


async def test_empty_repo_has_no_collections(actors: ActorStore) -> None:
    assert await actors.read(DID, lambda actor: actor.record.collections()) == []


async def test_takedown_hides_a_record_and_its_reversal_shows_it(posts: ActorStore) -> None:
    await posts.transact(DID, lambda actor: actor.record.set_takedown(POST, "c", "ref"))
    assert await _rkeys(posts) == list("edba")
    assert await posts.read(DID, lambda actor: actor.record.find(POST, "c")) is None
    hidden = await posts.read(
        DID, lambda actor: actor.record.get(POST, "c", include_takendown=True)
    )
    assert hidden.takedown_ref == "ref"
    assert await posts.read(DID, lambda actor: actor.record.find_cid(POST, "c")) == hidden.cid
    await posts.transact(DID, lambda actor: actor.record.set_takedown(POST, "c", None))
    assert await _rkeys(posts) == list("edcba")


async def test_takedown_stays_on_a_record_that_is_updated(posts: ActorStore) -> None:
    await posts.transact(DID, lambda actor: actor.record.set_takedown(POST, "c", "ref"))
    await commit(posts, DID, [edit("c", "new")])
    assert await posts.read(DID, lambda actor: actor.record.find(POST, "c")) is None


async def test_takedown_of_an_absent_record_is_not_found(posts: ActorStore) -> None:
    with pytest.raises(RecordNotFound):
        await posts.transact(DID, lambda actor: actor.record.set_takedown(POST, "x", "ref"))


async def test_records_written_after_a_rev(posts: ActorStore) -> None:
    since = (await posts.read(DID, lambda actor: actor.repo.head())).rev
    await commit(posts, DID, [post("new")])
    await commit(posts, DID, [edit("b", "newer")])
    records = await posts.read(DID, lambda actor: actor.record.list_since(since, limit=10))
    assert [record.uri.rpartition("/")[2] for record in records] == ["new", "b"]
    assert await posts.read(DID, lambda actor: actor.record.any_until(since))
    assert not await posts.read(DID, lambda actor: actor.record.any_until("2222222222222"))


async def test_records_of_one_commit_come_in_the_order_of_its_writes(posts: ActorStore) -> None:
    since = (await posts.read(DID, lambda actor: actor.repo.head())).rev
    await commit(posts, DID, [post(rkey) for rkey in ("z", "y", "x")])
    records = await posts.read(DID, lambda actor: actor.record.list_since(since, limit=2))
    assert [record.uri.rpartition("/")[2] for record in records] == ["z", "y"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"$type": FOLLOW, "subject": OTHER_DID}, (Backlink("subject", OTHER_DID),)),
        (
            {"$type": "app.bsky.graph.block", "subject": OTHER_DID},
            (Backlink("subject", OTHER_DID),),
        ),
        ({"$type": LIKE, "subject": {"uri": SUBJECT}}, (Backlink("subject.uri", SUBJECT),)),
        (
            {"$type": "app.bsky.feed.repost", "subject": {"uri": SUBJECT}},
            (Backlink("subject.uri", SUBJECT),),
        ),
        ({"$type": FOLLOW, "subject": "not a did"}, ()),
        ({"$type": FOLLOW, "subject": {"uri": SUBJECT}}, ()),
        ({"$type": FOLLOW}, ()),
        ({"$type": LIKE, "subject": OTHER_DID}, ()),
        ({"$type": LIKE, "subject": {"uri": "https://example.com"}}, ()),
        ({"$type": LIKE, "subject": {"uri": 1}}, ()),
        ({"$type": POST, "subject": OTHER_DID}, ()),
        ({}, ()),
    ],
)
def test_backlinks_are_those_of_the_reference(
    record: dict[str, Any], expected: tuple[Backlink, ...]
) -> None:
    assert backlinks_of(record) == expected


async def _conflicts(store: ActorStore, collection: str, link: Backlink) -> list[str]:
    return await store.read(DID, lambda actor: actor.record.backlink_conflicts(collection, [link]))


async def test_second_like_of_one_post_is_a_conflict(actors: ActorStore) -> None:
    like = put(LIKE, "a", subject={"uri": SUBJECT, "cid": "x"})
    (link,) = like.backlinks
    assert await _conflicts(actors, LIKE, link) == []
    await commit(actors, DID, [like])
    assert await _conflicts(actors, LIKE, link) == ["a"]
    assert await _conflicts(actors, "app.bsky.feed.repost", link) == []
    again = put(LIKE, "b", subject={"uri": SUBJECT, "cid": "y"})
    await commit(actors, DID, [delete("a", LIKE), again])
    assert await _conflicts(actors, LIKE, link) == ["b"]
    await actors.read(DID, contents)


async def test_of_many_links_to_one_thing_some_are_looked_at(actors: ActorStore) -> None:
    (link,) = put(LIKE, "a", subject={"uri": SUBJECT, "cid": "x"}).backlinks

    link_to = post("p").cid
    assert link_to is not None

    def enter(actor: ActorStoreTransactor) -> None:
        for number in range(1200):
            rkey = f"{number:04}"
            actor.record.index(LIKE, rkey, cid=link_to, rev="3aaaaaaaaaaaa", indexed_at="")
            actor.record.add_backlinks(LIKE, rkey, [link])

    await actors.transact(DID, enter)
    assert len(await _conflicts(actors, LIKE, link)) == 1000


async def test_backlinks_follow_updates_and_deletes(actors: ActorStore) -> None:
    await commit(actors, DID, [put(FOLLOW, "a", subject=OTHER_DID)])
    await commit(actors, DID, [put(FOLLOW, "a", action="update", subject=DID)])
    assert await _conflicts(actors, FOLLOW, Backlink("subject", OTHER_DID)) == []
    assert await _conflicts(actors, FOLLOW, Backlink("subject", DID)) == ["a"]
    await commit(actors, DID, [delete("a", FOLLOW)])
    assert await _conflicts(actors, FOLLOW, Backlink("subject", DID)) == []
