"""Accounts that write all the time, and when each write was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from pds.replication.status import ReplicationStatus
from tests.e2e.promises import Person, sign_up
from tests.e2e.replicated import write_with_blob
from tests.e2e.world import World

_AT_ONCE = 3
_UNNOTICED_S = 2.0
"""How long a change may go unnoticed, on a busy machine: the log is looked at four times a second,
and the status is written once."""


@dataclass(slots=True)
class BusyPeople:
    """People who write, and who become more until they are `most`."""

    world: World
    random: Random
    people: list[Person]
    most: int = 0
    have_blobs: bool = True
    answered: list[tuple[float, str, str]] = field(default_factory=list)
    """Unix seconds, DID and record key."""
    _number: int = 0

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """A block during which they write."""
        tasks = [asyncio.create_task(self._write_on()) for _ in range(_AT_ONCE)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [each for each in results if not isinstance(each, asyncio.CancelledError)]
        assert failures == [], "the server did not go on"

    def claimed(self, status: ReplicationStatus) -> dict[str, set[str]]:
        """The records that the replica has by its last status, by DID."""
        until_s = status.written_s - status.actors.oldest_unsynced_s - _UNNOTICED_S
        found: dict[str, set[str]] = {}
        for answered_s, did, rkey in self.answered:
            if answered_s < until_s:
                found.setdefault(did, set()).add(rkey)
        return found

    async def _write_on(self) -> None:
        while True:
            self._number += 1
            number, rkey = self._number, f"r{self._number}"
            if number % 40 == 0 and len(self.people) < self.most:
                self.people.append(await sign_up(self.world.server, self.world.http, rkey))
            person = self.random.choice(self.people)
            if self.have_blobs and number % 7 == 0:
                await write_with_blob(self.world, person, rkey, self.random.randbytes(2_000))
            else:
                await self.world.create(person, rkey, text=str(number))
            self.answered.append((time.time(), person.did, rkey))
            await asyncio.sleep(self.random.random() / 20)


def lacking(claimed: dict[str, set[str]], found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The records that should be there and are not."""
    lost = {did: rkeys - found.get(did, set()) for did, rkeys in claimed.items()}
    return {did: rkeys for did, rkeys in lost.items() if rkeys}
