"""Threads: new replies stand under what they answer, and a new post has a thread of its own."""

from __future__ import annotations

from typing import Any

import pytest

from pds.read_after_write.appview import UnexpectedAnswer
from pds.read_after_write.merging import MERGES
from pds.read_after_write.thread import new_thread
from tests.pds.read_after_write.samples import (
    ANN,
    BLOCKED,
    BOB,
    NOT_FOUND,
    THREAD,
    AppViewDouble,
    Json,
    ann,
    checked,
    new_post,
    node,
    post_view,
    reply_to,
    uri,
)

ROOT = uri(BOB, 1)
"""The post that the thread began with."""
ANSWER = uri(BOB, 2)


def answer_view(number: int = 2, parent: str = ROOT) -> Json:
    return post_view(BOB, number, **reply_to(parent, ROOT))


def uris(thread: Json) -> Any:
    """A thread as lists: the URI of each post, then its replies."""
    if "post" not in thread:
        return [thread["uri"]]
    return [thread["post"]["uri"], *(uris(reply) for reply in thread.get("replies", ()))]


async def merged(thread: Json, *posts: Any) -> Any:
    """The URIs of a thread after the merge."""
    answer = {"thread": thread}
    await MERGES[THREAD](answer, ann(*posts), {})
    return uris(checked(THREAD, answer)["thread"])


async def test_new_replies_come_first_under_their_parents() -> None:
    thread = node(post_view(BOB, 1), node(answer_view()), NOT_FOUND, BLOCKED)
    posts = (
        new_post(10, **reply_to(ROOT, ROOT)),
        new_post(11, **reply_to(ANSWER, ROOT)),
        new_post(12, **reply_to(ROOT, ROOT)),
    )
    assert await merged(thread, *posts) == [
        ROOT,
        [uri(ANN, 12)],
        [uri(ANN, 10)],
        [ANSWER, [uri(ANN, 11)]],
        [NOT_FOUND["uri"]],
        [BLOCKED["uri"]],
    ]


async def test_new_replies_to_new_replies_follow_them() -> None:
    posts = (
        new_post(10, **reply_to(ROOT, ROOT)),
        new_post(11, **reply_to(uri(ANN, 10), ROOT)),
        new_post(12, **reply_to(uri(ANN, 11), ROOT)),
    )
    assert await merged(node(post_view(BOB, 1)), *posts) == [
        ROOT,
        [uri(ANN, 10), [uri(ANN, 11), [uri(ANN, 12)]]],
    ]


async def test_thread_from_the_middle_gets_replies_of_its_root() -> None:
    thread = node(answer_view(), parent=node(post_view(BOB, 1)))
    posts = (
        new_post(10, **reply_to(ANSWER, ROOT)),
        new_post(11, **reply_to(ANSWER, uri(BOB, 50))),
        new_post(12, **reply_to(ROOT, ROOT)),
        new_post(13),
    )
    assert await merged(thread, *posts) == [ANSWER, [uri(ANN, 10)]]


async def test_reply_that_is_shown_already_is_not_repeated() -> None:
    known = node(post_view(ANN, 10, **reply_to(ROOT, ROOT)))
    thread = node(post_view(BOB, 1), known)
    assert await merged(thread, new_post(10, **reply_to(ROOT, ROOT))) == [ROOT, [uri(ANN, 10)]]


@pytest.mark.parametrize("thread", [NOT_FOUND, BLOCKED])
async def test_thread_that_cannot_be_shown_stays_as_it_is(thread: Json) -> None:
    answer = {"thread": dict(thread)}
    await MERGES[THREAD](answer, ann(new_post(10, **reply_to(ROOT, ROOT))), {})
    assert answer == {"thread": thread}


async def test_thread_of_any_depth_is_walked() -> None:
    thread = node(post_view(BOB, 999, **reply_to(uri(BOB, 998), ROOT)))
    for number in range(998, 1, -1):
        thread = node(answer_view(number, uri(BOB, number - 1)), thread)
    answer = {"thread": node(post_view(BOB, 1), thread)}
    await MERGES[THREAD](answer, ann(new_post(10, **reply_to(uri(BOB, 999), ROOT))), {})
    last = answer["thread"]
    while last["replies"][0].get("replies"):
        last = last["replies"][0]
    assert last["replies"][0]["post"]["uri"] == uri(ANN, 10)


@pytest.mark.parametrize(
    "thread",
    [
        None,
        [],
        node({}),
        node({**post_view(BOB, 1), "record": 1}),
        node({**post_view(BOB, 1), "record": {"reply": 1}}),
        node({**post_view(BOB, 1), "record": {"reply": {"root": {"uri": 1}}}}),
        node(post_view(BOB, 1), replies=1),
        node(post_view(BOB, 1), node({"uri": 1})),
    ],
)
async def test_other_shapes_are_refused(thread: Any) -> None:
    posts = [new_post(10, **reply_to(ROOT, ROOT))]
    with pytest.raises(UnexpectedAnswer):
        await MERGES[THREAD]({"thread": thread}, ann(*posts), {})


async def test_new_post_has_a_thread_with_its_replies() -> None:
    post = new_post(10)
    reply = new_post(11, **reply_to(post.uri, post.uri))
    thread = await new_thread(post, ann(post, reply), parent_height=80)
    assert uris(checked(THREAD, {"thread": thread})["thread"]) == [post.uri, [reply.uri]]
    assert "parent" not in thread


async def test_thread_of_a_new_reply_has_what_it_answers() -> None:
    parent = node(answer_view(), parent=node(post_view(BOB, 1)))
    appview = AppViewDouble({THREAD: {"thread": parent}})
    post = new_post(10, **reply_to(ANSWER, ROOT))
    thread = await new_thread(post, ann(post, appview=appview), parent_height=7)
    checked(THREAD, {"thread": thread})
    assert thread["parent"] == parent
    assert appview.asked == [(THREAD, {"uri": ANSWER, "parentHeight": 7, "depth": 0})]


@pytest.mark.parametrize(
    "appview", [None, AppViewDouble(), AppViewDouble({THREAD: []}), AppViewDouble({THREAD: {}})]
)
async def test_thread_of_a_new_reply_needs_no_parent(appview: AppViewDouble | None) -> None:
    post = new_post(10, **reply_to(ANSWER, ROOT))
    thread = await new_thread(post, ann(post, appview=appview), parent_height=80)
    assert uris(checked(THREAD, {"thread": thread})["thread"]) == [post.uri]
    assert "parent" not in thread
