"""An answer of the AppView, as bytes, made up to date."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pds.read_after_write.appview import Json, as_object
from pds.read_after_write.merges import MERGES
from pds.read_after_write.requester import Requester
from pds.read_after_write.thread import new_thread
from repo.datamodel import json_default


@dataclass(slots=True, frozen=True)
class Merged:
    """An answer with what the account has just written."""

    body: bytes
    """JSON."""
    lag_ms: int
    """The age of the oldest record that the AppView has not seen."""


async def merge(nsid: str, params: Mapping[str, Any], body: bytes, requester: Requester) -> Merged:
    """The answer `body` with what it lacks.

    Raises what a `Merge` does, and a `ValueError` or `TypeError` for what is not JSON, or so deeply
    nested that it cannot be written again.
    """
    answer = as_object(orjson.loads(body))
    await MERGES[nsid](answer, requester, params)
    return _merged(answer, requester)


async def merge_new_thread(uri: str, requester: Requester, *, parent_height: int) -> Merged | None:
    """The answer to getPostThread for a post that the AppView has not found, if it is a new one.

    Raises what `new_thread` does.
    """
    post = next((post for post in requester.local.posts if post.uri == uri), None)
    if post is None:
        return None
    thread = await new_thread(post, requester, parent_height=parent_height)
    return _merged({"thread": thread}, requester)


def _merged(answer: Json, requester: Requester) -> Merged:
    body = orjson.dumps(answer, default=json_default)
    return Merged(body, requester.local.lag_ms(int(time.time() * 1000)))
