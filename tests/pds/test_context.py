"""The parts of a server are opened together and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from pds.config import Settings
from pds.context import open_app_context
from pds.disk.data_directory import make_directories
from pds.read_context import ReadContext, open_read_context
from pds.recovery.start import recover
from tests.pds.served import settings_on


async def _fail(tried: asyncio.Event) -> None:
    tried.set()
    raise OSError("the disk is full")


@pytest.mark.parametrize(
    "open_context",
    [open_read_context, partial(open_app_context, recover=recover)],
    ids=["read", "app"],
)
async def test_nothing_is_retried_once_a_server_is_closed(
    tmp_path: Path, open_context: Callable[[Settings], Awaitable[ReadContext]]
) -> None:
    settings = settings_on(tmp_path)
    make_directories(settings)
    ctx = await open_context(settings)
    tried = asyncio.Event()
    ctx.unfinished.retrier.later("never done", partial(_fail, tried))
    await asyncio.wait_for(tried.wait(), 20)
    await ctx.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
