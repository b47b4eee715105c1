"""Second factors by mail with the client of the official app, by its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.oauth.node_app import AppError, NodeScript
from tests.e2e.oauth.test_sign_up_pages import code_of
from tests.e2e.sdk import Person
from tests.processes import DevServer


@pytest.fixture
async def app(clients: Path, server: DevServer) -> AsyncIterator[NodeScript]:
    app = await NodeScript.run(clients, "agent.mjs", pds=server.url)
    yield app
    await app.stop()


async def test_the_official_app_turns_mailed_codes_on_signs_in_with_one_and_turns_them_off(
    app: NodeScript, server: DevServer, alice: Person
) -> None:
    who: dict[str, Any] = {"identifier": alice.handle, "password": alice.password}
    first = await app.order("logIn", **who)
    assert first["session"]["emailConfirmed"] is False
    with pytest.raises(AppError, match="Confirm your email address"):
        await app.order("turn", on=True)
    await app.order("askForConfirmation")
    await app.order("confirm", token=code_of(server))
    session = await app.order("turn", on=True)
    assert (session["emailConfirmed"], session["emailAuthFactor"]) == (True, True)

    assert await app.order("logIn", **who) == {"asksForCode": True}
    code = code_of(server)
    # What the app takes for a wrong code, and not for a wrong password.
    with pytest.raises(AppError, match="Token is invalid"):
        await app.order("logIn", **who, authFactorToken="AAAAA-AAAAA")
    signed_in = await app.order("logIn", **who, authFactorToken=code)
    assert signed_in["session"]["emailAuthFactor"] is True

    with pytest.raises(AppError, match="TokenRequired"):
        await app.order("turn", on=False)
    assert await app.order("askForLeave") == {"tokenRequired": True}
    token = code_of(server)
    session = await app.order("turn", on=False, token=token)
    assert session["emailAuthFactor"] is False
    assert (await app.order("logIn", **who))["asksForCode"] is False
