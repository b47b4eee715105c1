"""Exports and proofs of repositories, checked by code that is not the server's."""

from __future__ import annotations

from atproto import CAR, models
from multiformats import multibase

from tests.e2e.checked_repo import check_commit, check_export, read_car
from tests.e2e.sdk import Network, Person
from tests.e2e.tree import Change, Leaf, read_tree, undo

NOTE = "com.example.note"
Writes = models.ComAtprotoRepoApplyWrites


def write_notes(person: Person, count: int) -> None:
    """Records enough for a tree of some layers, with keys of many lengths."""
    creations = [
        Writes.Create(
            collection=NOTE,
            rkey=f"{'x' * (number % 40)}{number}",
            value={"$type": NOTE, "number": number, "text": "é" * number},
        )
        for number in range(count)
    ]
    for start in range(0, count, 200):
        person.client.com.atproto.repo.apply_writes(
            Writes.Data(repo=person.did, writes=creations[start : start + 200], validate=False)
        )


def test_a_new_repository_is_an_empty_tree(network: Network, alice: Person) -> None:
    exported = check_export(network.export(alice.did), network.key(alice.did))
    assert exported.commit.did == alice.did
    assert exported.records == {}
    assert len(exported.blocks) == 2


def test_an_export_holds_every_record_and_nothing_else(network: Network, alice: Person) -> None:
    write_notes(alice, 500)
    post = alice.post("beside the notes")
    exported = check_export(network.export(alice.did), network.key(alice.did))
    assert len(exported.records) == 501
    assert exported.value(f"{NOTE}/{'x' * 3}43")["number"] == 43
    path = post.uri.removeprefix(f"at://{alice.did}/")
    assert exported.records[path] == multibase.decode(post.cid)
    latest = network.client().com.atproto.sync.get_latest_commit({"did": alice.did})
    assert exported.root == multibase.decode(latest.cid)
    assert exported.commit.rev == latest.rev


def test_the_sdk_reads_an_export(network: Network, alice: Person) -> None:
    write_notes(alice, 20)
    car = CAR.from_bytes(network.export(alice.did))
    assert car.blocks[car.root]["did"] == alice.did
    assert sum(block.get("$type") == NOTE for block in car.blocks.values()) == 20


def test_an_export_since_a_revision_completes_the_earlier_one(
    network: Network, alice: Person
) -> None:
    write_notes(alice, 100)
    earlier = check_export(network.export(alice.did), network.key(alice.did))
    alice.post("later")
    client = network.client()
    params = {"did": alice.did, "since": earlier.commit.rev}
    (root,), new_blocks = read_car(client.com.atproto.sync.get_repo(params))
    later = check_export(network.export(alice.did), network.key(alice.did))
    assert root == later.root
    assert len(new_blocks) < len(later.blocks) / 5
    assert later.blocks.items() <= (earlier.blocks | new_blocks).items()


def test_a_record_is_proved_to_be_there_or_not(network: Network, alice: Person) -> None:
    write_notes(alice, 100)
    exported = check_export(network.export(alice.did), network.key(alice.did))
    for rkey in ("40", "absent"):
        params = {"did": alice.did, "collection": NOTE, "rkey": rkey}
        car = network.client().com.atproto.sync.get_record(params)
        (root,), blocks = read_car(car)
        commit = check_commit(blocks[root], network.key(alice.did))
        assert commit == exported.commit
        key = f"{NOTE}/{rkey}".encode()
        items = read_tree(commit.data, blocks)
        proved = [item.value for item in items if isinstance(item, Leaf) and item.key == key]
        if rkey == "absent":
            assert proved == []
            # Raises if the blocks leave open what lies where the key would be.
            undo(items, [Change(key, before=commit.data, after=None)])
        else:
            assert proved == [exported.records[key.decode()]]
            assert proved[0] in blocks
        assert len(blocks) < len(exported.blocks) / 5
