"""What a push leaves in the hold's repository: a record for each layer, and perhaps a post.

Nothing is written before the quota is checked. Up to 199 layers are one commit; more are several,
which a repeated notice completes if a crash has come between them. A layer that the manifest names
and the hold does not store, such as one that comes from elsewhere, has no record; sizes are those
of the stored blobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from actor_store.writes import MAX_WRITES, PreparedWrite
from database.timestamps import now_iso
from identity.did_source import DidResolutionError
from identity.handles import HandleUnresolvable
from pds.fairness.turns import TooBusy
from pds.hold.images.layers import Layers, layer_write
from pds.hold.images.manifest import Layer, Manifest
from pds.hold.images.posts import Posts, is_tag, post_write
from pds.hold.records import POST, manifest_uri
from pds.repos.commits import commit

if TYPE_CHECKING:
    from actor_store.keyed_locks import KeyedLocks
    from pds.context import AppContext
    from pds.hold.crew.roster import Roster
    from pds.hold.oci.blobs import Blobs
    from pds.hold.oci.digest import Digest
    from repo.syntax import Did

_LOOKUPS: Final = 8
"""Blobs of one push that are looked up at once."""


class QuotaExceeded(Exception):
    """The user's layers would take more than their tier allows. Nothing has been written."""

    def __init__(self, used_bytes: int, added_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"quota exceeded: {used_bytes} bytes are stored, the push adds {added_bytes},"
            f" and {limit_bytes} are allowed"
        )


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest that a user has pushed. All names have been checked."""

    user_did: Did
    repository: str
    digest: Digest
    manifest: Manifest
    tag: str | None = None

    @property
    def uri(self) -> str:
        """The at-uri of the manifest's record in the user's repository."""
        return manifest_uri(self.user_did, self.digest)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push has left."""

    layers_created: int
    post_created: bool = False
    post_uri: str | None = None


class Pushes:
    """Records pushes, one of each user at a time."""

    def __init__(
        self,
        ctx: AppContext,
        did: Did,
        *,
        layers: Layers,
        posts: Posts,
        roster: Roster,
        blobs: Blobs,
        locks: KeyedLocks,
        find_limit: Callable[[str], Awaitable[int | None]],
    ) -> None:
        """Write to the repository of `did`, the hold.

        `locks` are held, by DID of a user, while their layer records are written or deleted.
        `find_limit` returns the quota of a user in bytes, None for no limit.
        """
        self._ctx = ctx
        self._did = did
        self._layers = layers
        self._posts = posts
        self._roster = roster
        self._blobs = blobs
        self._find_limit = find_limit
        self._locks = locks

    async def record(self, push: Push) -> Pushed:
        """Record a push. Raises `QuotaExceeded`, `BlobStoreError`s, and what `commit` raises."""
        self._layers.note_push(push.uri)
        stored = await self._find_stored(push.manifest.layers)
        name = await self._find_name(push.user_did) if await self._is_news(push) else ""
        async with self._locks[push.user_did]:
            recorded = {row.digest for row in await self._layers.records_of_manifest(push.uri)}
            new = [layer for layer in stored if layer.digest not in recorded]
            await self._check_quota(push.user_did, new)
            await self._layers.remember(push.uri, push.manifest.digests | {push.digest})
            return await self._write(push, new, name)

    async def _write(self, push: Push, layers: Sequence[Layer], name: str) -> Pushed:
        now, next_tid = now_iso(), self._ctx.tid_clock.next
        post, uri = await self._prepare_post(push, name, now)
        # The post is in the last commit: a push is announced when it is complete.
        room = MAX_WRITES - (post is not None)
        for start in range(0, max(len(layers), 1), room):
            writes = [
                layer_write(
                    layer, rkey=next_tid(), manifest=push.uri, user_did=push.user_did, now=now
                )
                for layer in layers[start : start + room]
            ]
            if post is not None and start + room >= len(layers):
                writes.append(post)
            await _commit(self._ctx, self._did, writes)
            # Each step takes milliseconds for so many records: others have their turn in between.
            await asyncio.sleep(0)
        if post is not None and uri is not None and push.tag is not None:
            await self._posts.note(push.uri, push.tag, user_did=push.user_did, uri=uri)
        return Pushed(len(layers), post is not None, uri)

    async def _check_quota(self, user_did: str, new: Sequence[Layer]) -> None:
        added = await self._layers.added_bytes(user_did, new)
        limit = await self._find_limit(user_did) if added else None
        if limit is None:
            return
        used = (await self._layers.usage(user_did)).size_bytes
        if used + added > limit:
            raise QuotaExceeded(used, added, limit)

    async def _is_news(self, push: Push) -> bool:
        """Whether a push is announced, if it succeeds."""
        tag = push.tag
        if tag is None or not is_tag(tag) or not (await self._roster.captain()).bluesky_posts:
            return False
        return self._posts.find(push.uri, tag) is None and self._posts.may_post(push.user_did)

    async def _prepare_post(
        self, push: Push, name: str, now: str
    ) -> tuple[PreparedWrite | None, str | None]:
        """Return the post to write, and its at-uri or that of the one from before."""
        tag = push.tag
        if tag is None or not name or not await self._is_news(push):
            return None, None if tag is None else self._posts.find(push.uri, tag)
        rkey = self._ctx.tid_clock.next()
        post = post_write(
            rkey=rkey,
            user_did=push.user_did,
            name=name,
            repository=push.repository,
            tag=tag,
            now=now,
        )
        return post, f"at://{self._did}/{POST}/{rkey}"

    async def _find_stored(self, layers: Sequence[Layer]) -> list[Layer]:
        """Return the layers that the hold stores, with their true sizes."""
        turns = asyncio.Semaphore(_LOOKUPS)

        async def find(layer: Layer) -> Layer | None:
            async with turns, self._blobs.wanted(layer.digest):
                blob = await self._blobs.find(layer.digest)
            return None if blob is None else replace(layer, size_bytes=blob.size_bytes)

        found = await asyncio.gather(*map(find, layers))
        return [layer for layer in found if layer is not None]

    async def _find_name(self, did: Did) -> str:
        """Return the handle of a user if it is theirs, else the DID."""
        try:
            handle = (await self._ctx.did_resolver.resolve(did)).handle
            # Anyone can claim any handle, and the hold would repeat the claim in public.
            if handle is not None and await self._ctx.handle_resolver.resolve(handle) == did:
                return handle
        except (DidResolutionError, HandleUnresolvable, TooBusy):
            pass
        return did


async def _commit(ctx: AppContext, did: Did, writes: list[PreparedWrite]) -> None:
    if writes:
        await commit(ctx, did, lambda _: writes)
