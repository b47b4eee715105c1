"""Users who post, look at and delete pictures, while a test does something to the server."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from tests.e2e.promises import Person
from tests.e2e.world import World, note

_LARGE_BYTES = 6_000_000
"""More than one part of an upload to S3."""


@dataclass(slots=True)
class Picture:
    """A record with a blob."""

    person: Person
    rkey: str
    cid: str
    digest: bytes


@dataclass(slots=True)
class Pictures:
    """What is posted, and what was deleted."""

    world: World
    random: random.Random
    posted: list[Picture] = field(default_factory=list)
    deleted: list[Picture] = field(default_factory=list)
    drafts: list[tuple[Person, Any, bytes]] = field(default_factory=list)
    reads: int = 0
    _number: int = 0

    async def upload(self, person: Person) -> tuple[Any, bytes]:
        """Upload a picture; return its reference and the hash of its bytes."""
        self._number += 1
        size = _LARGE_BYTES if self._number % 20 == 0 else self.random.randrange(50_000)
        data = self.random.randbytes(size)
        url = f"{self.world.server.url}/xrpc/com.atproto.repo.uploadBlob"
        headers = {**person.auth, "Content-Type": "image/png"}
        async with self.world.http.post(url, headers=headers, data=BytesIO(data)) as response:
            assert response.status == 200, await response.text()
            return (await response.json())["blob"], hashlib.sha256(data).digest()

    async def draft(self) -> None:
        """Upload a picture to be posted some time."""
        person = self._person()
        self.drafts.append((person, *await self.upload(person)))

    async def post(self) -> None:
        """Post a new picture."""
        person = self._person()
        await self._post(person, *await self.upload(person))

    async def post_draft(self) -> None:
        """Post the oldest draft."""
        if self.drafts:
            await self._post(*self.drafts.pop(0))

    async def look(self) -> None:
        """Get a picture, which is whole."""
        if self.posted:
            await self.check(self.random.choice(self.posted))
            self.reads += 1

    async def delete(self) -> None:
        """Delete a post, and with it the picture."""
        if not self.posted:
            return
        picture = self.posted.pop(self.random.randrange(len(self.posted)))
        await self.world.post(
            "com.atproto.repo.deleteRecord",
            picture.person.auth,
            repo=picture.person.did,
            collection=note(picture.person, picture.rkey)["collection"],
            rkey=picture.rkey,
        )
        self.deleted.append(picture)

    async def check(self, picture: Picture) -> None:
        """The server has the bytes of a picture."""
        status, digest = await self._get(picture)
        # One that was deleted meanwhile may be gone.
        assert (status, digest) == (200, picture.digest) or picture not in self.posted, status

    async def check_all(self) -> None:
        """The server has what was posted, and nothing that was deleted."""
        for picture in self.posted:
            await self.check(picture)
        for picture in self.deleted:
            assert (await self._get(picture))[0] == 400

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Four users at once, for as long as the block runs."""
        ended = asyncio.Event()

        async def use(*acts: Any) -> None:
            while not ended.is_set():
                await self.random.choice(acts)()

        users = [
            use(self.post, self.post, self.delete),
            use(self.draft, self.post_draft),
            use(self.look),
            use(self.look),
        ]
        async with asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(user)
            try:
                yield
            finally:
                ended.set()

    async def _post(self, person: Person, blob: Any, digest: bytes) -> None:
        rkey = f"picture-{self._number}-{blob['ref']['$link'][-8:]}"
        assert await self.world.create(person, rkey, image=blob)
        self.posted.append(Picture(person, rkey, blob["ref"]["$link"], digest))

    async def _get(self, picture: Picture) -> tuple[int, bytes]:
        url = f"{self.world.server.url}/xrpc/com.atproto.sync.getBlob"
        params = {"did": picture.person.did, "cid": picture.cid}
        async with self.world.http.get(url, params=params) as response:
            return response.status, hashlib.sha256(await response.read()).digest()

    def _person(self) -> Person:
        return self.random.choice((self.world.alice, self.world.bob))
