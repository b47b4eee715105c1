"""com.atproto.server: passwords for single apps, and what a session opened with one may do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply

CREATE = "com.atproto.server.createAppPassword"
LIST = "com.atproto.server.listAppPasswords"
REVOKE = "com.atproto.server.revokeAppPassword"
PREFERENCES = "app.bsky.actor.getPreferences"


async def make(pds: Pds, account: Account, name: str = "phone", **more: Any) -> Any:
    """Make an app password and return the output."""
    reply = await pds.post(CREATE, {"name": name, **more}, account.auth)
    assert reply.status == 200, reply.body
    return reply.json


async def login(pds: Pds, account: Account, password: str, **more: Any) -> Reply:
    body = {"identifier": account.handle, "password": password, **more}
    return await pds.post("com.atproto.server.createSession", body)


async def app_session(pds: Pds, account: Account, **more: Any) -> tuple[dict[str, str], str]:
    """Open a session with a new app password: the headers of calls, and the refresh token."""
    password = (await make(pds, account, **more))["password"]
    session = (await login(pds, account, password)).json
    return {"Authorization": f"Bearer {session['accessJwt']}"}, session["refreshJwt"]


async def names(pds: Pds, account: Account) -> list[str]:
    reply = await pds.get(LIST, account.auth)
    return [one["name"] for one in reply.json["passwords"]]


async def test_an_app_password_is_told_once(pds: Pds, alice: Account) -> None:
    made = await make(pds, alice)
    assert set(made) == {"name", "password", "createdAt", "privileged"}
    assert re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", made.pop("password"))
    listed = await pds.get(LIST, alice.auth)
    assert listed.json == {"passwords": [made]}
    assert made["privileged"] is False


async def test_app_passwords_are_listed_newest_first(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_passwords = pds.ctx.accounts.app_passwords
    clock = app_passwords._clock
    for age, name in enumerate(["first", "second", "third"]):
        monkeypatch.setattr(app_passwords, "_clock", lambda age=age: clock() + age)
        await make(pds, alice, name)
    assert await names(pds, alice) == ["third", "second", "first"]


async def test_a_name_is_used_once_by_an_account(pds: Pds, alice: Account, bob: Account) -> None:
    await make(pds, alice)
    reply = await pds.post(CREATE, {"name": "phone"}, alice.auth)
    assert reply.error == (400, "InvalidRequest")
    await make(pds, bob)


async def test_an_app_password_opens_a_lesser_session(pds: Pds, alice: Account) -> None:
    auth, _ = await app_session(pds, alice)
    assert (await pds.get("com.atproto.server.getSession", auth)).json["did"] == alice.did
    written = await pds.post(
        "com.atproto.repo.createRecord",
        {"repo": alice.did, "collection": "com.example.note", "record": {}},
        auth,
    )
    assert written.status == 200


@pytest.mark.parametrize(
    ("nsid", "body"),
    [
        (CREATE, {"name": "another"}),
        ("com.atproto.server.activateAccount", None),
        ("com.atproto.server.deactivateAccount", {}),
    ],
)
@pytest.mark.parametrize("privileged", [False, True])
async def test_an_app_password_does_not_open_what_needs_the_account_s_own(
    pds: Pds, alice: Account, nsid: str, body: Any, privileged: bool
) -> None:
    auth, _ = await app_session(pds, alice, privileged=privileged)
    reply = await pds.post(nsid, body, auth)
    assert reply.json == {"error": "InvalidToken", "message": "Bad token scope"}


async def test_an_app_session_lists_and_revokes(pds: Pds, alice: Account) -> None:
    auth, _ = await app_session(pds, alice)
    assert len((await pds.get(LIST, auth)).json["passwords"]) == 1
    assert (await pds.post(REVOKE, {"name": "phone"}, auth)).status == 200


async def test_an_app_session_stays_one_when_it_is_renewed(pds: Pds, alice: Account) -> None:
    _, refresh_jwt = await app_session(pds, alice)
    renewed = await pds.post(
        "com.atproto.server.refreshSession", headers={"Authorization": f"Bearer {refresh_jwt}"}
    )
    auth = {"Authorization": f"Bearer {renewed.json['accessJwt']}"}
    reply = await pds.post(CREATE, {"name": "another"}, auth)
    assert reply.json["message"] == "Bad token scope"


async def test_revoking_ends_the_sessions_of_that_password_alone(pds: Pds, alice: Account) -> None:
    password = (await make(pds, alice))["password"]
    session = (await login(pds, alice, password)).json
    _, of_other = await app_session(pds, alice, name="tablet")
    for _ in range(2):
        reply = await pds.post(REVOKE, {"name": "phone"}, alice.auth)
        assert (reply.status, reply.body) == (200, b"")
    assert await names(pds, alice) == ["tablet"]
    assert (await login(pds, alice, password)).error == (401, "AuthenticationRequired")
    for token, status in (
        (session["refreshJwt"], 400),
        (of_other, 200),
        (alice.refresh_jwt, 200),
    ):
        renewed = await pds.post(
            "com.atproto.server.refreshSession", headers={"Authorization": f"Bearer {token}"}
        )
        assert renewed.status == status


async def test_app_passwords_belong_to_one_account(pds: Pds, alice: Account, bob: Account) -> None:
    password = (await make(pds, alice))["password"]
    assert (await login(pds, bob, password)).error == (401, "AuthenticationRequired")
    assert await names(pds, bob) == []
    assert (await pds.post(REVOKE, {"name": "phone"}, bob.auth)).status == 200
    assert await names(pds, alice) == ["phone"]


async def test_app_passwords_do_not_open_an_account_that_is_taken_down(
    pds: Pds, alice: Account
) -> None:
    password = (await make(pds, alice))["password"]
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    reply = await login(pds, alice, password, allowTakendown=True)
    assert reply.error == (401, "AuthenticationRequired")
    created = await pds.post(CREATE, {"name": "another"}, alice.auth)
    assert created.error == (401, "AccountTakedown")


async def test_personal_details_are_kept_from_app_passwords(pds: Pds, alice: Account) -> None:
    details = {
        "$type": "app.bsky.actor.defs#personalDetailsPref",
        "birthDate": "1990-01-01T00:00:00.000Z",
    }
    put = "app.bsky.actor.putPreferences"
    assert (await pds.post(put, {"preferences": [details]}, alice.auth)).status == 200
    auth, _ = await app_session(pds, alice, privileged=True)
    seen = (await pds.get(PREFERENCES, auth)).json["preferences"]
    assert [one["$type"] for one in seen] == ["app.bsky.actor.defs#declaredAgePref"]
    refused = await pds.post(put, {"preferences": [details]}, auth)
    assert refused.error == (400, "InvalidRequest")
    assert refused.json["message"] == (
        "Do not have authorization to set preferences: app.bsky.actor.defs#personalDetailsPref"
    )
    assert (await pds.post(put, {"preferences": []}, auth)).status == 200
    kept = (await pds.get(PREFERENCES, alice.auth)).json["preferences"]
    assert details in kept
