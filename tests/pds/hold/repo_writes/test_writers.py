"""Who may write to the hold's repository, and who may grant that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, CREW, SELF, crew_rkey
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.hold.callers import (
    CAPTAIN_DID,
    Caller,
    bearer,
    enroll,
    unknown,
)
from tests.pds.hold.conftest import HOLD_DID
from tests.pds.hold.repo_writes.kit import (
    ADMIN,
    CREATE,
    NEWCOMER,
    POST,
    SERVER_S_OWN,
    apply,
    change,
    create,
    crew_record,
    delete,
    join,
    post,
    put,
    state,
)


def grants(member: str, admin: str) -> list[tuple[str, Callable[[Pds, Caller], Any]]]:
    """Ways to give or take crew:admin."""
    raised = crew_record(member, permissions=ADMIN)
    lowered = crew_record(admin, permissions=["blob:read"])
    new = crew_record(NEWCOMER, permissions=ADMIN)
    return [
        ("raise a member", lambda pds, who: put(pds, who, raised, crew_rkey(member))),
        ("raise in a batch", lambda p, w: apply(p, w, change("update", crew_rkey(member), raised))),
        ("add an admin", lambda pds, who: create(pds, who, new)),
        ("lower an admin", lambda pds, who: put(pds, who, lowered, crew_rkey(admin))),
        ("remove an admin", lambda pds, who: delete(pds, who, CREW, crew_rkey(admin))),
        (
            "remove one in a batch",
            lambda pds, who: apply(
                pds,
                who,
                change("create", crew_rkey(NEWCOMER), crew_record()),
                change("delete", crew_rkey(admin)),
            ),
        ),
    ]


@pytest.mark.parametrize("index", range(6))
async def test_only_the_captain_grants_and_takes_away_admin(
    pds: Pds, hold: Hold, captain: Caller, admin: Caller, member: Caller, index: int
) -> None:
    other = await join(pds, hold, Permission.ADMIN)
    _, attempt = grants(member.did, other.did)[index]
    before = await state(pds)
    assert (await attempt(pds, admin)).error == (403, "Forbidden")
    assert (await attempt(pds, member)).error == (403, "Forbidden")
    assert await state(pds) == before
    assert (await attempt(pds, captain)).status == 200
    assert await state(pds) != before


async def test_an_admin_does_not_become_captain(pds: Pds, hold: Hold, admin: Caller) -> None:
    captaincy = {**SERVER_S_OWN[CAPTAIN], "owner": admin.did}
    assert (await put(pds, admin, captaincy, SELF)).error == (403, "Forbidden")
    owner = crew_record(admin.did, role="owner", permissions=ADMIN)
    assert (await put(pds, admin, owner, crew_rkey(admin.did))).status == 200
    # The role says nothing: the captain is whom the captain record names.
    assert (await hold.roster.captain()).owner == CAPTAIN_DID
    assert (await delete(pds, admin, CREW, crew_rkey(CAPTAIN_DID))).error == (403, "Forbidden")


async def test_others_are_refused_in_the_words_of_the_protocol(
    pds: Pds, hold: Hold, member: Caller
) -> None:
    reader = await join(pds, hold, Permission.READ)
    before = await state(pds)
    reasons = [
        (member, "crew member lacks permission"),
        (reader, "crew member lacks permission"),
        (enroll(pds), "user is not a crew member"),
    ]
    for who, reason in reasons:
        for reply in (
            await create(pds, who, crew_record(who.did, permissions=ADMIN)),
            await put(pds, who, crew_record(who.did, permissions=ADMIN), crew_rkey(who.did)),
            await delete(pds, who, POST, "x"),
            await apply(pds, who),
        ):
            assert reply.error == (403, "Forbidden")
            assert reply.json["message"] == (
                f"access denied for crew:admin: {reason} (required: crew:admin)"
            )
    assert await state(pds) == before


async def test_a_token_for_the_hold_writes_to_no_other_repository(
    pds: Pds, captain: Caller, alice: Account
) -> None:
    body = {"repo": alice.did, "collection": POST, "record": post()}
    assert (await captain.call(pds, CREATE, body)).error == (400, "InvalidRequest")


async def test_without_a_valid_token_nothing_is_written(pds: Pds, captain: Caller) -> None:
    before = await state(pds)
    body = {"repo": HOLD_DID, "collection": POST, "record": post()}
    assert (await pds.post(CREATE, body)).error == (401, "AuthMissing")
    expired = captain.bearer(exp=1)
    assert (await pds.post(CREATE, body, expired)).error == (401, "ExpiredToken")
    forged = captain.bearer(key_=unknown().key)
    assert (await pds.post(CREATE, body, forged)).error == (401, "BadJwtSignature")
    assert (await pds.post(CREATE, body, bearer("x.y.z"))).error == (400, "InvalidToken")
    assert await state(pds) == before


async def test_a_removed_admin_writes_nothing_more_with_the_same_token(
    pds: Pds, hold: Hold, captain: Caller, admin: Caller
) -> None:
    assert (await create(pds, admin, post())).status == 200
    await hold.crew.remove(admin.did)
    assert (await create(pds, admin, post())).error == (403, "Forbidden")
    assert (await create(pds, captain, crew_record(admin.did, permissions=ADMIN))).status == 200
    assert (await create(pds, admin, post())).status == 200


class WatchedLock(asyncio.Lock):
    """A lock that tells when somebody asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        self.asked.set()
        return await super().acquire()


async def test_an_admin_removed_while_a_write_waits_is_refused(
    pds: Pds, hold: Hold, admin: Caller
) -> None:
    hold.crew.adding = lock = WatchedLock()
    await asyncio.Lock.acquire(lock)
    # It waits for the lock after it was found to come from an admin.
    waiting = asyncio.create_task(create(pds, admin, post()))
    await lock.asked.wait()
    await hold.crew.remove(admin.did)
    lock.release()
    assert (await waiting).error == (403, "Forbidden")


async def test_accounts_of_the_server_write_as_on_any_server(pds: Pds, alice: Account) -> None:
    created = await pds.create_record(alice, "com.example.thing", {"x": 1}, validate=False)
    assert created["uri"].startswith(f"at://{alice.did}/com.example.thing/")
    body = {"repo": HOLD_DID, "collection": POST, "record": post()}
    refused = await pds.post(CREATE, body, alice.auth)
    assert refused.error == (401, "AuthenticationRequired")


async def test_a_captain_with_an_account_here_writes_to_both(
    pds: Pds, hold: Hold, alice: Account
) -> None:
    await hold.crew.add(Did(alice.did), permissions=[Permission.ADMIN], role="admin")
    key = pds.ctx.actor_store.key(alice.did)
    token = Caller(Did(alice.did), key)
    assert (await create(pds, token, post())).status == 200
    assert (await pds.post_text(alice))["uri"].startswith(f"at://{alice.did}/")
