"""The current commits of all repositories, as whichever process has made them knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pds.peers.calls import by_all, in_time

if TYPE_CHECKING:
    from pds.accounts.repo_roots import ListedRepo
    from pds.read_context import ReadContext
    from repo.cid import Cid


async def list_repos(
    ctx: ReadContext, *, limit: int, after: tuple[str, str] | None
) -> list[ListedRepo]:
    """Return a page of repos: see `RepoRoots.list`.

    No head is older than an answered commit, unless a process hangs that has made it.
    """
    roots = ctx.accounts.repo_roots
    # Asked before the rows are read: what is written meanwhile is in them.
    queued = await in_time(_queued_heads(ctx)) or [roots.queued]
    return roots.list(limit=limit, after=after, queued=queued)


@by_all
async def _queued_heads(ctx: ReadContext) -> Mapping[str, tuple[Cid, str]]:
    return ctx.accounts.repo_roots.queued
