"""Requests that OAuth clients push: anyone may, and each is kept for a while."""

from __future__ import annotations

from tests.pds.conftest import Pds
from tests.pds.rate_limits.conftest import SetLimits, from_ip
from tests.pds.web.oauth.app_client import App


async def test_pushed_requests_count_among_all_of_an_address(
    pds: Pds, set_limits: SetLimits
) -> None:
    set_limits(all_requests=2)
    form = {"client_id": App(pds).client_id, **App(pds).parameters}

    async def push(ip: str) -> tuple[int, str | None]:
        reply = await pds.request("POST", "/oauth/par", data=form, headers=from_ip(ip))
        return reply.status, reply.json.get("error")

    assert [await push("192.0.2.1") for _ in range(2)] == [(201, None)] * 2
    reply = await pds.request("POST", "/oauth/par", data=form, headers=from_ip("192.0.2.1"))
    assert (reply.status, reply.json["error"]) == (429, "temporarily_unavailable")
    assert int(reply.headers["Retry-After"]) > 0
    assert await push("192.0.2.2") == (201, None)
    assert (await pds.get("com.atproto.server.describeServer", from_ip("192.0.2.1"))).status == 429
