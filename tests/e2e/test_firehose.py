"""A third-party consumer of the firehose ends with exactly what the repositories hold."""

from __future__ import annotations

import asyncio

from atproto import models

from tests.e2e.checked_repo import check_export
from tests.e2e.replica import Copy, Replica, follow
from tests.e2e.sdk import Network, Person

THING = "com.example.thing"
Writes = models.ComAtprotoRepoApplyWrites


def write_much(person: Person) -> None:
    """Creations, changes and deletions in every mixture, in trees of several layers."""
    repo = person.client.com.atproto.repo
    create = [
        Writes.Create(collection=THING, rkey=f"key{number:03}", value={"$type": THING, "n": number})
        for number in range(120)
    ]
    repo.apply_writes(Writes.Data(repo=person.did, writes=create, validate=False))
    update = [
        Writes.Update(collection=THING, rkey=f"key{number:03}", value={"$type": THING, "n": "new"})
        for number in range(0, 120, 3)
    ]
    delete = [
        Writes.Delete(collection=THING, rkey=f"key{number:03}") for number in range(1, 120, 3)
    ]
    more = [
        Writes.Create(collection=THING, rkey=f"key{number:03}-b", value={"$type": THING})
        for number in range(0, 120, 9)
    ]
    repo.apply_writes(
        Writes.Data(repo=person.did, writes=[*update, *delete, *more], validate=False)
    )
    for number in range(2, 60, 3):
        rkey = f"key{number:03}"
        repo.delete_record({"repo": person.did, "collection": THING, "rkey": rkey})
    # And down to nothing in one collection, up again in another.
    posts = [person.post(f"post {number}") for number in range(5)]
    for post in posts:
        person.client.delete_post(post.uri)
    person.post("the last")


def rev_of(network: Network, did: str) -> str:
    rev: str = network.client().com.atproto.sync.get_latest_commit({"did": did}).rev
    return rev


def check_against_export(network: Network, did: str, copy: Copy) -> None:
    """The replica's copy is the repository, of which nothing is believed either."""
    exported = check_export(network.export(did), network.key(did))
    assert exported.commit.did == did
    assert (exported.root, exported.commit.rev) == (copy.commit, copy.rev)
    assert exported.commit.data == copy.data
    assert exported.records == copy.records


async def test_from_the_beginning_a_consumer_ends_with_every_repository(network: Network) -> None:
    people = [network.join() for _ in range(2)]
    for person in people:
        write_much(person)
    await asyncio.to_thread(people[0].client.update_handle, f"other-{people[0].handle}")
    last = {person.did: rev_of(network, person.did) for person in people}
    replica = Replica(network.key)

    def caught_up() -> bool:
        copies = replica.copies
        return copies.keys() >= last.keys() and all(
            copies[did].rev == rev for did, rev in last.items()
        )

    def renamed() -> bool:
        return caught_up() and replica.copies[people[0].did].handle == f"other-{people[0].handle}"

    await follow(network.server, replica, cursor=0, until=renamed)
    assert replica.commits >= 2 * 30
    assert replica.seqs[0] == 1
    for did, copy in replica.copies.items():
        assert copy.active
        check_against_export(network, did, copy)


async def test_a_consumer_that_returns_misses_and_repeats_nothing(
    network: Network, alice: Person
) -> None:
    replica = Replica(network.key)

    async def catch_up(cursor: int) -> None:
        rev = rev_of(network, alice.did)
        until = lambda: alice.did in replica.copies and replica.copies[alice.did].rev == rev  # noqa: E731
        await follow(network.server, replica, cursor=cursor, until=until)

    await catch_up(0)
    for number in range(3):
        alice.post(f"while it is away, {number}")
        alice.post(f"and once more, {number}")
        await catch_up(replica.seqs[-1])
    assert replica.seqs == list(range(1, replica.seqs[-1] + 1))
    check_against_export(network, alice.did, replica.copies[alice.did])


async def test_a_live_consumer_sees_writes_as_they_happen(network: Network, alice: Person) -> None:
    alice.post("before")
    replica = Replica(network.key)
    start = check_export(network.export(alice.did), network.key(alice.did))
    replica.copies[alice.did] = Copy.of(start)
    done = len(start.records) + 10

    async def write() -> None:
        for number in range(10):
            await asyncio.to_thread(alice.post, f"live {number}")

    # A subscription without cursor starts at an unknown moment; one at the newest seq does not.
    newest = Replica(network.key)
    await follow(
        network.server,
        newest,
        cursor=0,
        until=lambda: (
            alice.did in newest.copies and newest.copies[alice.did].rev == start.commit.rev
        ),
    )
    following = follow(
        network.server,
        replica,
        cursor=newest.seqs[-1],
        until=lambda: len(replica.copies[alice.did].records) == done,
    )
    await asyncio.gather(following, write())
    check_against_export(network, alice.did, replica.copies[alice.did])
