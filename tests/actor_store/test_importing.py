"""`import_car`: whatever was there, an import leaves exactly the imported tree."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actor_store.blocks import CountedNodeCache
from actor_store.bulk_rows import UNORDERED_INDEXES
from actor_store.importing import import_car
from actor_store.quota import no_quota
from actor_store.schema import migrate_store
from actor_store.transactor import ActorStoreTransactor, Signing
from database.connection import Database
from database.opening import open_database
from repo import dagcbor
from repo.car import encode_car
from repo.cid import Cid
from repo.commit import sign_commit
from repo.keys import K256PrivateKey
from repo.mst import build_blocks
from repo.tid import TidClock
from tests.actor_store.support import DID

KEY = K256PrivateKey.from_bytes(bytes(31) + b"\7")

keys = st.builds(
    "{}/{}".format,
    st.sampled_from(["com.example.note", "com.example.thing"]),
    st.text("abcdefghij", min_size=1, max_size=3),
)
repos = st.dictionaries(keys, st.integers(0, 5), max_size=40)


def blocks_of(records: Mapping[str, int]) -> tuple[Cid, dict[Cid, bytes]]:
    """Head and blocks of a repository."""
    values = {key: dagcbor.encode({"n": number}) for key, number in sorted(records.items())}
    cids = {key: Cid.of_dag_cbor(block) for key, block in values.items()}
    nodes = list(build_blocks(cids.items()))
    commit = sign_commit(DID, data=nodes[-1][0], rev="3l2vqs4u2dk2a", key=KEY)
    blocks = {Cid.of_dag_cbor(block): block for block in values.values()}
    return commit.cid, {commit.cid: commit.block, **dict(nodes), **blocks}


def new_actor(db: Database) -> ActorStoreTransactor:
    """An actor with an empty repository."""
    migrate_store(db)
    clock = TidClock(lambda: 1_800_000_000_000_000, 3)
    actor = ActorStoreTransactor(
        DID, db, CountedNodeCache(4_000_000), Signing(clock, lambda _: KEY), no_quota
    )
    with db.transaction():
        actor.create_repo()
    return actor


@given(before=repos, after=repos)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_import_leaves_exactly_the_imported_tree(
    before: dict[str, int], after: dict[str, int]
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "store.sqlite")
        for records in (before, after):
            # As in the server: each import has a connection of its own.
            with closing(open_database(path)) as db:
                actor = new_actor(db) if records is before else _actor(db)
                head, blocks = blocks_of(records)
                car = io.BytesIO(encode_car([head], blocks.items()))
                with db.transaction():
                    imported = import_car(actor, car, keys=[KEY.public])
                assert (imported.head.cid, imported.records) == (head, len(records))
                stored = db.all("SELECT cid, content FROM repo_block")
                assert {Cid.parse(cid): block for cid, block in stored} == blocks
                rows = db.all("SELECT uri, cid FROM record")
                assert {uri.removeprefix(f"at://{DID}/"): cid for uri, cid in rows} == {
                    key: str(Cid.of_dag_cbor(dagcbor.encode({"n": number})))
                    for key, number in records.items()
                }


def _actor(db: Database) -> ActorStoreTransactor:
    clock = TidClock(lambda: 1_800_000_000_000_000, 3)
    return ActorStoreTransactor(
        DID, db, CountedNodeCache(4_000_000), Signing(clock, lambda _: KEY), no_quota
    )


def test_indexes_built_at_the_end_are_those_of_every_store(tmp_path: Path) -> None:
    like: dict[str, dagcbor.Value] = {
        "subject": {"uri": "at://did:plc:abc/app.bsky.feed.post/a", "cid": "bafy"}
    }
    blocks = {
        f"app.bsky.feed.like/{n}": dagcbor.encode({"$type": "app.bsky.feed.like", "n": n, **like})
        for n in range(100)
    }
    cids = {key: Cid.of_dag_cbor(block) for key, block in blocks.items()}
    nodes = list(build_blocks(sorted(cids.items())))
    commit = sign_commit(DID, data=nodes[-1][0], rev="3l2vqs4u2dk2a", key=KEY)
    pairs = [(commit.cid, commit.block), *nodes, *zip(cids.values(), blocks.values(), strict=True)]
    car = encode_car([commit.cid], pairs)

    def contents(path: Path, *, postponed: tuple[str, ...]) -> list[object]:
        with closing(open_database(path)) as db:
            actor = new_actor(db)
            with db.transaction():
                import_car(actor, io.BytesIO(car), keys=[KEY.public], postponed=postponed)
            assert db.value("PRAGMA integrity_check") == "ok"
            return [
                db.all("SELECT name, sql FROM sqlite_master ORDER BY name"),
                db.all("SELECT cid, content FROM repo_block ORDER BY cid"),
                db.all("SELECT uri, cid FROM record ORDER BY uri"),
                db.all("SELECT uri, path, linkTo FROM backlink ORDER BY uri, path"),
            ]

    usual = contents(tmp_path / "usual.sqlite", postponed=())
    assert contents(tmp_path / "large.sqlite", postponed=UNORDERED_INDEXES) == usual
    assert len(usual[-1]) == 100  # type: ignore[arg-type] # rows


def test_memory_does_not_grow_with_the_car(tmp_path: Path) -> None:
    # Records of two kilobytes: 40 MB, of which none may stay.
    path = tmp_path / "large.car"
    text = "x" * 2_000
    values = [dagcbor.encode({"n": n, "text": text}) for n in range(20_000)]
    cids = [Cid.of_dag_cbor(value) for value in values]
    pairs = [(f"com.example.note/{n:08}", cid) for n, cid in enumerate(cids)]
    nodes = list(build_blocks(pairs))
    commit = sign_commit(DID, data=nodes[-1][0], rev="3l2vqs4u2dk2a", key=KEY)
    blocks = [(commit.cid, commit.block), *nodes, *zip(cids, values, strict=True)]
    path.write_bytes(encode_car([commit.cid], blocks))
    script = f"""
        import resource
        from pathlib import Path
        from actor_store.importing import import_car
        from database.opening import open_database
        from tests.actor_store.test_importing import KEY, new_actor

        db = open_database(Path({str(tmp_path / "store.sqlite")!r}), cache_kib=2_000)
        actor = new_actor(db)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with Path({str(path)!r}).open("rb") as car, db.transaction():
            assert import_car(actor, car, keys=[KEY.public]).records == 20_000
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    done = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 30
