"""Concurrent uploads, writes, deletions and sweeps, cut off anywhere: no record loses its blob."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.errors import ActorStoreError
from actor_store.layout import ActorLayout
from actor_store.store import ActorStore
from repo.datamodel import BlobRef
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from tests.actor_store.support import DID, blob_value, commit, delete, post
from tests.actor_store.test_blob_files import _upload

CONTENTS = [f"blob {n}".encode() for n in range(4)]
"""Few, so that the same bytes come again while they are being removed."""


class _CutOff(BaseException):
    """Simulates the end of the process: no code handles it."""


class _Cutting:
    """A blob store that takes its time, and ends the process at a step, or never."""

    def __init__(self, store: DiskBlobStore, steps: int, chance: random.Random) -> None:
        self._store = store
        self._chance = chance
        self.steps = steps

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._step()
            await asyncio.sleep(self._chance.choice((0, 0, 0.002)))
            result = await attribute(*args, **kwargs)
            await asyncio.sleep(self._chance.choice((0, 0, 0.002)))
            self._step()
            return result

        return call

    def _step(self) -> None:
        self.steps -= 1
        if self.steps <= 0:
            raise _CutOff


@pytest.mark.parametrize("seed", range(12))
async def test_no_record_loses_its_blob(
    layout: ActorLayout,
    blob_store: DiskBlobStore,
    clock: TidClock,
    key: K256PrivateKey,
    seed: int,
) -> None:
    chance = random.Random(seed)
    for life in range(4):
        cutting: Any = _Cutting(blob_store, chance.randrange(20, 300), chance)
        store = ActorStore(layout=layout, blob_store=cutting, clock=clock)
        if life == 0:
            await store.create(DID, key, lambda actor: actor.create_repo())
        workers = [_post(store, cutting, random.Random(chance.random())) for _ in range(3)]
        tasks = [asyncio.ensure_future(work) for work in (*workers, _sweep(store))]
        await asyncio.gather(*tasks, return_exceptions=True)
        cutting.steps = 1_000_000
        await _settle(store)
        await store.close()
        again = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
        await _check(again, blob_store)
        await again.close()


async def _settle(store: ActorStore) -> None:
    """Wait for the deletions in the background, some of which may have been cut off."""
    while True:
        try:
            return await store.blob_files.settle()
        except _CutOff:
            continue


async def _post(store: ActorStore, blob_store: Any, chance: random.Random) -> None:
    known: list[BlobRef] = []
    for _ in range(25):
        rkey = f"r{chance.randrange(6)}"
        try:
            step = chance.random()
            if step < 0.5 or not known:
                known.append(await _upload(store, blob_store, chance.choice(CONTENTS)))
            elif step < 0.85:
                await commit(store, DID, [post(rkey, embed=blob_value(chance.choice(known)))])
            else:
                await commit(store, DID, [delete(rkey)])
        except (ActorStoreError, BlobStoreError):
            continue
        await asyncio.sleep(0)


async def _sweep(store: ActorStore) -> None:
    for _ in range(30):
        # As if a week had gone by.
        await store.blob_files.sweep(DID, before_s=time.time() + 5, limit=10, parts_only=False)
        await asyncio.sleep(0.002)


async def _check(store: ActorStore, blob_store: DiskBlobStore) -> None:
    cids = await store.read(DID, lambda actor: actor.blob.list_referenced(limit=100))
    missing = await store.read(DID, lambda actor: actor.blob.list_missing(limit=100))
    assert missing == []
    for cid in cids:
        assert blob_store.path(DID, cid).exists()
