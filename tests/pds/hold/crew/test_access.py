"""Who may do what on a hold: the whole matrix of the protocol, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import chain, combinations, product
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from actor_store.reader import ActorStoreReader
from actor_store.writes import PreparedWrite
from pds.hold.auth.denials import FREE
from pds.hold.hold import HOLD, Hold
from pds.hold.methods.authenticators import CALLER, OPTIONAL_CALLER, require
from pds.hold.permissions import AccessDenied, Permission, check
from pds.hold.records import CAPTAIN, CREW, SELF, crew_rkey
from pds.monitoring.logs.quick import PlainLog
from pds.monitoring.requests.lines import LOGGER
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from pds.server.app import make_router
from pds.server.observer import add_observed
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods
from repo import dagcbor
from tests.pds.conftest import Pds, Reply
from tests.pds.hold.callers import CAPTAIN_ENVIRON, Caller, enroll, enroll_captain, unknown

READ: Final = "io.atcr.hold.exportUserData"
WRITE: Final = "io.atcr.hold.deleteUserData"
ADMIN: Final = "io.atcr.hold.requestCrew"
"""Methods that stand for those which need a permission each."""
NAMES: Final = ("blob:read", "blob:write", "crew:admin")
SETS: Final = [
    *chain.from_iterable(combinations(NAMES, count) for count in range(4)),
    ("blob:*",),
    ("CREW:ADMIN", "blob:readwrite"),
]
"""Every set of permissions, and some that give nothing."""
TIME: Final = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return dict(CAPTAIN_ENVIRON)


@pytest.fixture
async def probes(pds: Pds, hold: Hold) -> AsyncIterator[Pds]:
    """The real router and authenticators, before methods that only ask for a permission."""
    methods = XrpcMethods()

    @methods.method(READ, auth=OPTIONAL_CALLER)
    async def read(call: XrpcCall) -> Answer:
        return {"caller": await require(call, Permission.READ)}

    @methods.method(WRITE, auth=CALLER, body_optional=True)
    async def write(call: XrpcCall) -> Answer:
        return {"caller": await require(call, Permission.WRITE)}

    @methods.method(ADMIN, auth=CALLER, body_optional=True)
    async def admin(call: XrpcCall) -> Answer:
        return {"caller": await require(call, Permission.ADMIN)}

    router = make_router(pds.ctx, methods)
    app = web.Application()
    app[HOLD] = hold
    add_observed(app, [web.route("*", "/xrpc/{nsid:.*}", router.handle)], pds.ctx, PlainLog(LOGGER))
    async with TestServer(app) as server:
        yield replace(pds, url=str(server.make_url("/")).rstrip("/"))


async def ask(probes: Pds, nsid: str, headers: dict[str, str]) -> Reply:
    if nsid == READ:
        return await probes.get(nsid, headers)
    return await probes.post(nsid, headers=headers)


async def make_public(hold: Hold, *, public: bool) -> None:
    def plan(actor: ActorStoreReader) -> list[PreparedWrite]:
        value: Any = dagcbor.decode(actor.record.get(CAPTAIN, SELF).block)
        return [prepared(hold, CAPTAIN, SELF, {**value, "public": public})]

    await commit(hold.ctx, hold.did, plan)


async def put_crew(hold: Hold, member: str, permissions: tuple[str, ...]) -> None:
    value = {
        "member": member,
        "role": "owner",
        "permissions": list(permissions),
        "addedAt": TIME,
    }
    write = prepared(hold, CREW, crew_rkey(member), value)

    def plan(actor: ActorStoreReader) -> list[PreparedWrite]:
        known = actor.record.find_cid(CREW, write.rkey) is not None
        return [replace(write, action="update" if known else "create")]

    await commit(hold.ctx, hold.did, plan)


def prepared(hold: Hold, collection: str, rkey: str, value: Any) -> PreparedWrite:
    return prepare_write(hold.ctx.lexicons, "update", collection, rkey, value, validate=None)


def may(nsid: str, permissions: tuple[str, ...], *, public: bool) -> bool:
    """The matrix for members, in the words of the protocol."""
    match nsid:
        case "io.atcr.hold.exportUserData":
            return public or bool({"blob:read", "blob:write", "crew:admin"} & {*permissions})
        case "io.atcr.hold.deleteUserData":
            return bool({"blob:write", "crew:admin"} & {*permissions})
        case _:
            return "crew:admin" in permissions


@pytest.mark.parametrize("public", [True, False])
async def test_members_may_what_their_permissions_say(
    probes: Pds, hold: Hold, public: bool
) -> None:
    await make_public(hold, public=public)
    member = enroll(probes)
    for permissions, nsid in product(SETS, (READ, WRITE, ADMIN)):
        await put_crew(hold, member.did, permissions)
        reply = await ask(probes, nsid, member.bearer())
        allowed = may(nsid, permissions, public=public)
        assert reply.status == (200 if allowed else 403), (permissions, nsid)


@pytest.mark.parametrize("public", [True, False])
async def test_the_captain_may_everything_whatever_their_record_says(
    probes: Pds, hold: Hold, public: bool
) -> None:
    await make_public(hold, public=public)
    captain = enroll_captain(probes)
    for permissions, nsid in product(SETS, (READ, WRITE, ADMIN)):
        await put_crew(hold, captain.did, permissions)
        assert (await ask(probes, nsid, captain.bearer())).status == 200


async def test_strangers_read_from_a_public_hold_alone(probes: Pds, hold: Hold) -> None:
    stranger = enroll(probes)
    for public, nsid in product((True, False), (READ, WRITE, ADMIN)):
        await make_public(hold, public=public)
        reply = await ask(probes, nsid, stranger.bearer())
        assert reply.status == (200 if public and nsid == READ else 403)
        anonymous = await ask(probes, nsid, {})
        assert anonymous.status == (200 if public and nsid == READ else 401)
        if anonymous.status == 401:
            assert anonymous.json["error"] == "AuthMissing"


@pytest.mark.parametrize(
    ("nsid", "permissions", "message"),
    [
        (
            READ,
            None,
            (
                "access denied for blob:read: user is not a crew member"
                " (required: blob:read or blob:write)"
            ),
        ),
        (
            READ,
            (),
            (
                "access denied for blob:read: crew member lacks permission"
                " (required: blob:read or blob:write)"
            ),
        ),
        (
            WRITE,
            ("blob:read",),
            "access denied for blob:write: crew member lacks permission (required: blob:write)",
        ),
        (
            ADMIN,
            ("blob:read", "blob:write"),
            "access denied for crew:admin: crew member lacks permission (required: crew:admin)",
        ),
    ],
)
async def test_a_refusal_has_the_form_of_the_protocol(
    probes: Pds, hold: Hold, nsid: str, permissions: tuple[str, ...] | None, message: str
) -> None:
    caller = enroll(probes)
    if permissions is not None:
        await put_crew(hold, caller.did, permissions)
    reply = await ask(probes, nsid, caller.bearer())
    assert reply.error == (403, "Forbidden")
    assert reply.json["message"] == message


async def test_an_invalid_token_is_ignored_on_a_public_read_only(probes: Pds, hold: Hold) -> None:
    bad = [unknown().bearer(), enroll(probes).bearer(exp=1), {"Authorization": "Basic eA=="}]
    for headers in bad:
        assert (await ask(probes, READ, headers)).status == 401
    await make_public(hold, public=True)
    for headers in bad:
        assert (await ask(probes, READ, headers)).status == 200
        assert (await ask(probes, WRITE, headers)).status == 401


# --- Often refused


async def test_who_is_refused_often_is_told_to_wait_and_gets_in_at_once_as_a_member(
    probes: Pds, hold: Hold
) -> None:
    caller = enroll(probes)
    waits = []
    for _ in range(FREE + 4):
        reply = await ask(probes, WRITE, caller.bearer())
        assert reply.error == (403, "Forbidden")
        waits.append(reply.headers.get("Retry-After"))
    assert waits == [None] * FREE + ["1", "2", "4", "8"]
    await put_crew(hold, caller.did, ("blob:write",))
    assert (await ask(probes, WRITE, caller.bearer())).status == 200
    await put_crew(hold, caller.did, ("blob:read",))
    reply = await ask(probes, WRITE, caller.bearer())
    assert (reply.status, reply.headers.get("Retry-After")) == (403, None)


async def test_refused_writes_do_not_make_reads_wait(probes: Pds, hold: Hold) -> None:
    caller = enroll(probes)
    await put_crew(hold, caller.did, ("blob:read",))
    for _ in range(FREE + 4):
        assert (await ask(probes, WRITE, caller.bearer())).status == 403
    assert (await ask(probes, READ, caller.bearer())).status == 200


async def test_an_anonymous_caller_is_told_to_log_in_however_often(probes: Pds, hold: Hold) -> None:
    replies = [await ask(probes, READ, {}) for _ in range(FREE + 4)]
    assert {reply.error for reply in replies} == {(401, "AuthMissing")}
    assert all("Retry-After" not in reply.headers for reply in replies)
    member: Caller = enroll(probes)
    await put_crew(hold, member.did, ("blob:read",))
    assert (await ask(probes, READ, member.bearer())).status == 200


# --- The rule itself

permissions_of_members = st.frozensets(st.sampled_from(list(Permission)))


def allowed(wanted: Permission, permissions: frozenset[Permission] | None) -> bool:
    try:
        check(wanted, is_captain=False, permissions=permissions)
    except AccessDenied:
        return False
    return True


@given(permissions_of_members, permissions_of_members, st.sampled_from(list(Permission)))
def test_more_permissions_never_allow_less(
    some: frozenset[Permission], more: frozenset[Permission], wanted: Permission
) -> None:
    assert allowed(wanted, some) <= allowed(wanted, some | more)
    assert not allowed(wanted, None)


@given(permissions_of_members)
def test_admin_includes_writing_and_writing_includes_reading(
    some: frozenset[Permission],
) -> None:
    read, write, admin = (allowed(each, some) for each in Permission)
    assert admin <= write <= read
