"""Mails of a real server: what was answered is kept whatever becomes of the process."""

from __future__ import annotations

from tests.e2e.world import World

REQUEST = "com.atproto.server.requestEmailConfirmation"
CONFIRM = "com.atproto.server.confirmEmail"


async def test_tokens_and_what_they_confirmed_live_through_a_crash(world: World) -> None:
    world.start()
    token = await world.token(REQUEST, world.alice)
    world.server.kill()
    world.start()
    await world.post(CONFIRM, world.alice.auth, email="alice@example.com", token=token)
    world.server.kill()
    world.start()
    session = await world.post(
        "com.atproto.server.createSession", identifier="alice.test", password="a password"
    )
    assert session["emailConfirmed"] is True
    used = await world.call(CONFIRM, world.alice.auth, email="alice@example.com", token=token)
    assert used[0] == 400


async def test_a_password_that_was_reset_stays_so(world: World) -> None:
    world.start()
    await world.post("com.atproto.server.requestPasswordReset", email="alice@example.com")
    token = await world.newest_token(world.alice)
    await world.post("com.atproto.server.resetPassword", token=token, password="a new one")
    world.server.kill()
    world.start()
    login = await world.call(
        "com.atproto.server.createSession", identifier="alice.test", password="a new one"
    )
    assert login[0] == 200
