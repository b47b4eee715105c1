"""Old servers that send something else than an account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from identity.plc_data import PlcService
from identity.plc_operation import PlcOperation
from pds.accounts.handle_rules import check_handle
from pds.accounts.moves import Move, Step
from pds.lifecycle.migration.beginning import CREATE, Beginning
from pds.lifecycle.migration.copying import Copier
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.moving import Moving
from pds.lifecycle.signup import Signup
from repo.keys import K256PrivateKey
from tests.pds.conftest import Pds
from tests.pds.identities import ForeignDid, register_foreign_did

MAX_BYTES = 100_000


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {"PDS_MAX_REPO_IMPORT_SIZE": str(MAX_BYTES)}


class FakeServer:
    """An old server whose answers a test chooses."""

    def __init__(self, pds: Pds) -> None:
        self.pds = pds
        self.owner: ForeignDid = register_foreign_did(pds)
        self.answers: dict[str, Callable[[web.Request], Any]] = {}
        self.slow: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.sent_bytes = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition(".")[2]
        if name in self.slow:
            return await self.slow[name](request)
        if name == "createSession":
            did = self.answers["did"](request) if "did" in self.answers else self.owner.did
            return web.json_response({"did": did, "accessJwt": "a", "refreshJwt": "r"})
        if name == "getServiceAuth":
            return web.json_response({"token": self.owner.token(self.pds, CREATE)})
        if name == "getRepo":
            return await self.send_without_end(request)
        if name in self.answers:
            return web.json_response(self.answers[name](request))
        return web.json_response({"rev": "3aaaaaaaaaaa2"})

    async def send_without_end(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(50_000))
                self.sent_bytes += 50_000
        except ConnectionError:
            return response


@pytest.fixture
async def hostile(pds: Pds) -> AsyncIterator[FakeServer]:
    fake = FakeServer(pds)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        last = pds.plc.find_last(fake.owner.did)
        assert last is not None
        assert last.data is not None
        url = f"http://127.0.0.1:{server.port}"
        services = {"atproto_pds": PlcService("AtprotoPersonalDataServer", url)}
        fake.owner.update(pds, replace(last.data, services=services))
        yield fake


async def begun(moving: Moving, hostile: FakeServer) -> Move:
    did, url = await Beginning(moving.ctx).find_old_server(hostile.owner.did)
    await Beginning(moving.ctx).begin_in(did, url, password="p", code="", device_id="dev")
    move = moving.ctx.accounts.moves.find(did)
    assert move is not None
    return move


async def created(moving: Moving, hostile: FakeServer) -> Move:
    move = await begun(moving, hostile)
    handle = check_handle("carol.test", [".test"], did_known=True)
    await moving.create(move, Signup(handle, "c@example.com", "password", did=move.did))
    found = moving.ctx.accounts.moves.find(move.did)
    assert found is not None
    return found


async def at_last_question(moving: Moving, hostile: FakeServer) -> Move:
    move = await created(moving, hostile)
    moves = moving.ctx.accounts.moves
    await moves.advance(move, Step.REPOSITORY, Step.CODE)
    await moves.set_copied(move, rev="3aaaaaaaaaaa2", blobs=0)
    found = moves.find(move.did)
    assert found is not None
    return found


async def test_a_session_of_another_did_is_none(pds: Pds, hostile: FakeServer) -> None:
    hostile.answers["did"] = lambda _: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    with pytest.raises(MoveProblem) as caught:
        await begun(Moving(pds.ctx), hostile)
    assert caught.value.kind is Problem.WRONG


async def test_an_account_is_made_only_with_a_token_that_its_did_has_signed(
    pds: Pds, hostile: FakeServer
) -> None:
    hostile.owner.key = K256PrivateKey.generate()
    with pytest.raises(MoveProblem) as caught:
        await created(Moving(pds.ctx), hostile)
    assert caught.value.kind is Problem.WRONG
    assert not pds.ctx.actor_store.exists(hostile.owner.did)


async def test_an_endless_repository_is_cut_off(pds: Pds, hostile: FakeServer) -> None:
    moving = Moving(pds.ctx)
    move = await created(moving, hostile)
    await Copier(moving).copy(move.did)
    stopped = pds.ctx.accounts.moves.find(move.did)
    assert stopped is not None
    assert (stopped.step, stopped.problem) == (Step.REPOSITORY, Problem.TOO_LARGE)
    assert pds.ctx.imports.room.used_bytes == 0


async def test_an_operation_that_gives_the_did_something_else_is_not_sent(
    pds: Pds, hostile: FakeServer
) -> None:
    """As one by which the old server would keep a key of its own."""
    moving = Moving(pds.ctx)
    move = await at_last_question(moving, hostile)
    did = move.did
    last = pds.plc.find_last(did)
    assert last is not None
    assert last.data is not None
    keys = (hostile.owner.key.did_key, pds.ctx.rotation_key.did_key)
    data = replace(
        last.data,
        rotation_keys=keys,
        verification_methods={"atproto": pds.ctx.actor_store.key(did).did_key},
        also_known_as=("at://carol.test",),
        services={"atproto_pds": PlcService("AtprotoPersonalDataServer", pds.public_url)},
    )
    operation = PlcOperation.sign(data, prev=last.cid, key=hostile.owner.key)
    hostile.answers["signPlcOperation"] = lambda _: {"operation": operation.to_json()}
    hostile.answers["getRecommendedDidCredentials"] = lambda _: {"rotationKeys": []}
    before = len(pds.plc.log(did))
    with pytest.raises(MoveProblem) as caught:
        await moving.point_did(move, "code")
    assert caught.value.kind is Problem.OPERATION
    assert len(pds.plc.log(did)) == before
    # With the person's word that this key is theirs, it is what was asked for.
    await moving.point_did(move, "code", keep=[hostile.owner.key.did_key])
    assert len(pds.plc.log(did)) == before + 1
