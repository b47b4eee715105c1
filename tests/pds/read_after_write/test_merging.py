"""Whatever the AppView answers is merged or refused, and nothing else happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pds.read_after_write.appview import AppViewError
from pds.read_after_write.merging import MERGES, merge, merge_new_thread
from pds.read_after_write.requester import Requester
from repo.datamodel import json_default
from tests.pds.read_after_write.samples import (
    ANN,
    AUTHOR_FEED,
    BLOB,
    BOB,
    GET_PROFILE,
    GET_PROFILES,
    LIKES,
    NOT_FOUND,
    THREAD,
    TIMELINE,
    AppViewDouble,
    Json,
    ann,
    checked,
    detailed_view,
    item,
    new_post,
    new_profile,
    node,
    post_view,
    reply_to,
    repost_by,
    uri,
)

ROOT = uri(BOB, 1)
POSTS = (
    new_post(50),
    new_post(51, **reply_to(ROOT, ROOT)),
    new_post(52, **reply_to(uri(ANN, 51), ROOT)),
)
PROFILE = new_profile(displayName="Ann", avatar=BLOB)

SAMPLES: dict[str, Callable[[], Json]] = {
    GET_PROFILE: lambda: detailed_view(ANN),
    GET_PROFILES: lambda: {"profiles": [detailed_view(BOB), detailed_view(ANN)]},
    LIKES: lambda: {"feed": [item(BOB, 2), item(ANN, 1)]},
    AUTHOR_FEED: lambda: {
        "feed": [item(ANN, 2), item(BOB, 1, reason=repost_by(ANN))],
        "cursor": "next",
    },
    TIMELINE: lambda: {"feed": [item(BOB, 2), item(ANN, 1)], "cursor": "next"},
    THREAD: lambda: {
        "thread": node(
            post_view(BOB, 1), node(post_view(BOB, 2, **reply_to(ROOT, ROOT))), dict(NOT_FOUND)
        )
    },
}

NAMES = (
    *("$type", "author", "by", "did", "feed", "indexedAt", "parent", "post", "profiles"),
    *("reason", "record", "replies", "reply", "root", "thread", "uri"),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.sampled_from([ANN, ROOT, "app.bsky.feed.defs#threadViewPost", "2027"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
nsids = pytest.mark.parametrize("nsid", SAMPLES)


def requester() -> Requester:
    return ann(*POSTS, profile=PROFILE, appview=AppViewDouble())


def check_merged_or_refused(nsid: str, answer: Json) -> None:
    """Any other error than that of an unexpected answer is a fault of ours."""

    async def merge_in() -> None:
        await MERGES[nsid](answer, requester(), {})

    with suppress(AppViewError):
        asyncio.run(merge_in())
        assert orjson.dumps(answer, default=json_default)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a value."""
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield (*place, key)
        yield from places(child, (*place, key))


def put_at(value: Any, place: tuple[Any, ...], new: Any) -> None:
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = new


def test_every_method_has_a_sample() -> None:
    assert SAMPLES.keys() == MERGES.keys()


@nsids
async def test_sample_is_changed_into_what_clients_can_read(nsid: str) -> None:
    sample = SAMPLES[nsid]()
    checked(nsid, sample)
    merged = await merge(nsid, {}, json.dumps(sample).encode(), requester())
    assert json.loads(merged.body) != sample
    checked(nsid, json.loads(merged.body))


# A busy machine takes its time for the first values.
any_machine = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@nsids
@given(answer=st.dictionaries(st.sampled_from(NAMES), json_values, max_size=4))
@any_machine
def test_any_object_is_merged_or_refused(nsid: str, answer: Json) -> None:
    check_merged_or_refused(nsid, answer)


@nsids
@given(data=st.data())
@any_machine
def test_sample_with_a_fault_is_merged_or_refused(nsid: str, data: st.DataObject) -> None:
    sample = SAMPLES[nsid]()
    put_at(sample, data.draw(st.sampled_from(list(places(sample)))), data.draw(json_values))
    check_merged_or_refused(nsid, sample)


@nsids
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b'"\\ud800"', b"[" * 5000, b'{"feed":' * 2000],
    ids=range(7),
)
async def test_what_is_no_json_object_is_refused(nsid: str, body: bytes) -> None:
    with pytest.raises((AppViewError, ValueError)):
        await merge(nsid, {}, body, requester())


async def test_what_is_too_deep_to_be_written_again_is_refused() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    body = json.dumps({"feed": [], "extra": deep}).encode()
    with pytest.raises(TypeError, match="Recursion"):
        await merge(TIMELINE, {}, body, requester())


async def test_thread_of_a_post_that_is_not_new_is_not_made() -> None:
    assert await merge_new_thread(uri(BOB, 50), ann(*POSTS), parent_height=80) is None
    merged = await merge_new_thread(uri(ANN, 50), ann(*POSTS), parent_height=80)
    assert merged is not None
    assert json.loads(merged.body)["thread"]["post"]["uri"] == uri(ANN, 50)
