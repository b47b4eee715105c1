"""Garbage collection of manifests: only a clear answer lets one go."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from pds.hold.hold import Hold
from pds.hold.records import MANIFEST
from repo.syntax import Did
from tests.identity.conftest import WebHost
from tests.pds.conftest import Account, Pds
from tests.pds.hold.conftest import BOTH
from tests.pds.hold.gc.kit import (
    CHECK,
    DELETE,
    GET_RECORD,
    GET_STATUS,
    pass_days,
    run,
    say_gone,
    stored,
)
from tests.pds.hold.pushing import User, digest, layer_records, manifest
from tests.pds.identities import Signer, WebDid


async def test_a_manifest_whose_record_is_gone_loses_its_layers_and_later_its_blobs(
    pds: Pds, web_user: User, web_host: WebHost, hold: Hold
) -> None:
    await web_user.push("one", "two")
    pass_days(hold, 30)
    say_gone(web_host)

    counts = await run(hold, CHECK)
    assert (counts.manifests_gone, counts.layer_records_deleted, counts.deleted) == (1, 2, 0)
    assert await layer_records(pds) == []
    assert (await hold.layers.usage(web_user.did)).blobs == 0
    assert len(await stored(hold)) == 3, "their grace begins now"

    pass_days(hold, 37.1)
    counts = await run(hold, CHECK)
    assert (counts.manifests, counts.deleted) == (0, 3)
    assert await stored(hold) == set()


async def test_a_manifest_is_not_looked_up_unasked(
    web_user: User, web_host: WebHost, hold: Hold
) -> None:
    await web_user.push("one")
    say_gone(web_host)
    counts = await run(hold)
    assert (counts.manifests, counts.manifests_gone) == (1, 0)
    assert GET_RECORD not in web_host.requests


Answer = Callable[[WebHost], None]
UNCLEAR: Final[dict[str, Answer]] = {
    "no answer": lambda _: None,
    "no such repository": lambda host: host.answer(
        GET_RECORD, json.dumps({"error": "RepoNotFound"}), status=400
    ),
    "another status": lambda host: host.answer(
        GET_RECORD, json.dumps({"error": "RecordNotFound"}), status=404
    ),
    "failing": lambda host: host.answer(GET_RECORD, "", status=502),
    "no JSON": lambda host: host.answer(GET_RECORD, "RecordNotFound", status=400),
    "a list": lambda host: host.answer(GET_RECORD, "[]", status=400),
    "no value": lambda host: host.answer(GET_RECORD, "{}"),
    "endless": lambda host: host.answer(GET_RECORD, b"[" + b" " * 5_000_000),
    "elsewhere": lambda host: host.redirect(GET_RECORD, f"{host.url}{GET_STATUS}"),
    "an AppView's answer, for an inactive repository": lambda host: say_gone(host, active=False),
    "an AppView's answer, for no repository": lambda host: host.answer(
        GET_RECORD, json.dumps({"error": "RecordNotFound"}), status=400
    ),
    "no DID document": lambda host: host.pages.clear(),
}


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR)
async def test_anything_but_a_clear_answer_keeps_the_manifest(
    pds: Pds, web_user: User, web_host: WebHost, hold: Hold, answer: Answer
) -> None:
    await web_user.push("one")
    pass_days(hold, 30)
    await pds.ctx.did_resolver.forget(web_user.did)
    answer(web_host)

    counts = await run(hold, CHECK)

    assert (counts.manifests_unclear, counts.manifests_gone, counts.deleted) == (1, 0, 0)
    assert len(await layer_records(pds)) == 1
    assert len(await stored(hold)) == 2


async def test_a_repository_that_has_moved_is_asked_where_it_is_now(
    pds: Pds, web_user: User, web_host: WebHost, hold: Hold
) -> None:
    """The cached document still names the old PDS, which has deleted everything."""
    await web_user.push("one")
    say_gone(web_host)
    assert isinstance(web_user.signer, WebDid)
    web_user.signer.publish(handle="dana.test", endpoint=f"http://127.0.0.1:{web_host.port}/new")
    web_host.answer(f"/new{GET_RECORD}", json.dumps({"value": manifest("one")}))
    counts = await run(hold, CHECK)
    assert (counts.manifests_gone, counts.manifests_unclear) == (0, 0)
    assert len(await layer_records(pds)) == 1


async def test_accounts_of_this_server_are_looked_up_here(
    pds: Pds, alice: Account, hold: Hold
) -> None:
    signer = Signer(Did(alice.did), pds.ctx.actor_store.key(alice.did))
    await hold.crew.add(signer.did, permissions=BOTH, role="member")
    user = User(pds, signer)
    await user.push("one")
    rkey = user.manifest_uri().rpartition("/")[2]
    await pds.create_record(alice, MANIFEST, manifest("one"), rkey=rkey, validate=False)
    assert (await run(hold, CHECK)).manifests_gone == 0

    body = {"repo": alice.did, "collection": MANIFEST, "rkey": rkey}
    await pds.post("com.atproto.repo.deleteRecord", body, alice.auth)
    assert (await run(hold, CHECK)).manifests_gone == 1
    assert await layer_records(pds) == []


async def test_a_push_during_the_look_up_keeps_the_layers(
    pds: Pds, web_user: User, web_host: WebHost, hold: Hold
) -> None:
    await web_user.push("one")
    say_gone(web_host)
    gone = web_host.pages[GET_RECORD]
    notices = []

    async def push_meanwhile(request: Any) -> Any:
        notices.append((await web_user.notify("one")).status)
        return await gone(request)

    web_host.pages[GET_RECORD] = push_meanwhile
    counts = await run(hold, CHECK)
    assert notices
    assert set(notices) == {200}
    assert counts.layer_records_deleted == 0
    assert len(await layer_records(pds)) == 1


async def test_nothing_is_deleted_while_configs_are_unknown(
    web_user: User, web_host: WebHost, hold: Hold
) -> None:
    """As after hold.sqlite was lost and the repository was not."""
    await web_user.push("one")
    await web_user.upload("garbage")
    hold.db.run("DELETE FROM manifest_blob")
    pass_days(hold, 30)

    page = await hold.gc.run(DELETE)
    assert (page.unresolved, page.counts.garbage, page.counts.deleted) == (1, 2, 0)

    web_host.answer(GET_RECORD, json.dumps({"value": manifest("one")}))
    page = await hold.gc.run(DELETE)
    assert (page.unresolved, page.counts.deleted) == (0, 1)
    assert await stored(hold) == {digest("one"), digest("config")}


async def test_a_manifest_that_is_not_one_does_not_resolve_it(
    web_user: User, web_host: WebHost, hold: Hold
) -> None:
    await web_user.push("one")
    hold.db.run("DELETE FROM manifest_blob")
    pass_days(hold, 30)
    web_host.answer(GET_RECORD, json.dumps({"value": {"layers": "none", "config": [1]}}))
    page = await hold.gc.run(DELETE)
    assert (page.unresolved, page.counts.deleted) == (1, 0)
