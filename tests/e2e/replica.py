"""A consumer of the firehose through the SDK that keeps repositories, and believes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from atproto import AsyncFirehoseSubscribeReposClient, models, parse_subscribe_repos_message
from multiformats import multibase

from tests.e2e.checked_repo import CheckedRepo, SigningKey, check_commit, read_car
from tests.e2e.tree import Change, read_tree, root_of, undo
from tests.processes import DevServer

Commit = models.ComAtprotoSyncSubscribeRepos.Commit
Sync = models.ComAtprotoSyncSubscribeRepos.Sync
Identity = models.ComAtprotoSyncSubscribeRepos.Identity
Account = models.ComAtprotoSyncSubscribeRepos.Account

_DEADLINE_S = 20.0
_ACTIONS = {"create": (False, True), "update": (True, True), "delete": (True, False)}
"""Whether there is a record before and after."""


@dataclass(slots=True)
class Copy:
    """What a consumer knows of one repository."""

    records: dict[str, bytes] = field(default_factory=dict)
    commit: bytes | None = None
    rev: str | None = None
    data: bytes | None = None
    handle: str | None = None
    active: bool = False

    @classmethod
    def of(cls, repo: CheckedRepo) -> Copy:
        """What an export tells."""
        return cls(dict(repo.records), repo.root, repo.commit.rev, repo.commit.data)


@dataclass(slots=True)
class Replica:
    """Every repository of a server, from its events alone.

    A `#sync` event must tell what is known already, unless `fetch` is given: then it makes the
    replica fetch that repository anew, as it does after a crash of the server.
    """

    key_of: Callable[[str], SigningKey]
    fetch: Callable[[str], CheckedRepo] | None = None
    copies: dict[str, Copy] = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)
    commits: int = 0
    keys: dict[str, SigningKey] = field(default_factory=dict)

    def take(self, event: Any) -> None:
        """Apply an event that fits what is known."""
        assert not self.seqs or event.seq > self.seqs[-1]
        self.seqs.append(event.seq)
        did = event.repo if isinstance(event, Commit) else event.did
        copy = self.copies.setdefault(did, Copy())
        if isinstance(event, Commit):
            self._take_commit(event, copy)
        elif isinstance(event, Sync):
            (root,), blocks = read_car(event.blocks)
            commit = check_commit(blocks[root], self._key(did))
            assert (commit.did, commit.rev) == (did, event.rev)
            if self.fetch is not None and (commit.rev, commit.data) != (copy.rev, copy.data):
                self.copies[did] = Copy.of(self.fetch(did))
            else:
                assert (commit.rev, commit.data) == (copy.rev, copy.data)
        elif isinstance(event, Identity):
            copy.handle = event.handle
        elif isinstance(event, Account):
            copy.active = event.active

    def _take_commit(self, event: Any, copy: Copy) -> None:
        if self.fetch is not None and copy.rev and event.rev <= copy.rev:
            return  # What was fetched has it.
        (root,), blocks = read_car(event.blocks)
        assert root == raw_cid(event.commit)
        commit = check_commit(blocks[root], self._key(event.repo))
        assert (commit.did, commit.rev) == (event.repo, event.rev)
        assert event.since == copy.rev
        changes = [self._change(op, copy, blocks) for op in event.ops]
        before = undo(read_tree(commit.data, blocks), changes)
        if event.prev_data is None:
            assert before == []
        else:
            assert root_of(before) == raw_cid(event.prev_data) == copy.data
        copy.commit, copy.rev, copy.data = root, event.rev, commit.data
        self.commits += 1

    @staticmethod
    def _change(op: Any, copy: Copy, blocks: dict[bytes, bytes]) -> Change:
        """Apply one operation to the records."""
        before, after = raw_cid(op.prev), raw_cid(op.cid)
        assert copy.records.get(op.path) == before
        assert _ACTIONS[op.action] == (before is not None, after is not None)
        if after is None:
            del copy.records[op.path]
        else:
            assert after in blocks
            copy.records[op.path] = after
        return Change(op.path.encode(), before, after)

    def _key(self, did: str) -> SigningKey:
        if did not in self.keys:
            self.keys[did] = self.key_of(did)
        return self.keys[did]


async def follow(
    server: DevServer,
    replica: Replica,
    *,
    cursor: int | None,
    until: Callable[[], bool],
) -> None:
    """Feed `replica` from `cursor` on, or from now on if it is None, until `until` holds."""
    base = f"ws://localhost:{server.port}/xrpc"
    params = None if cursor is None else {"cursor": cursor}
    client = AsyncFirehoseSubscribeReposClient(params, base_uri=base)
    failures: list[BaseException] = []

    async def take(message: Any) -> None:
        replica.take(parse_subscribe_repos_message(message))
        if until():
            await client.stop()

    async def fail(failure: BaseException) -> None:
        failures.append(failure)
        await client.stop()

    async with asyncio.timeout(_DEADLINE_S):
        await client.start(take, fail)
    if failures:
        raise failures[0]


def raw_cid(cid: Any) -> bytes | None:
    """The bytes of the SDK's CID."""
    return None if cid is None else multibase.decode(cid.encode())
