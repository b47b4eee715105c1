"""Hundreds of wrong logins at once, waited for or abandoned, and one that is right."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import aiohttp
import pytest

from tests.e2e.hostile.attack import attack
from tests.e2e.hostile.scale import scaled
from tests.e2e.sdk import Network, Person

WRONG: Final = scaled(200, 500)
SOON_S: Final = 4.0
"""A turn or two, and the least time of a login, on a machine that does much else."""
_PATIENCE_S: Final = 60.0
_NSID: Final = "com.atproto.server.createSession"


async def log_in(network: Network, person: Person, address: str) -> float:
    """Log in as soon as the server lets one, and return how many seconds that took."""
    started = time.monotonic()
    login = {"identifier": person.handle, "password": person.password}
    url, headers = f"{network.server.url}/xrpc/{_NSID}", {"X-Forwarded-For": address}
    async with aiohttp.ClientSession() as http, asyncio.timeout(_PATIENCE_S):
        while True:
            async with http.post(url, json=login, headers=headers) as response:
                if response.status == 200:
                    return time.monotonic() - started
                assert response.status == 503, await response.text()
                # The time that it is told to wait is part of what it waits.
                await asyncio.sleep(int(response.headers["Retry-After"]))


@pytest.mark.parametrize("how", [(), ("abandon",)], ids=["waiting", "abandoned"])
@pytest.mark.parametrize(
    ("names", "addresses"),
    [
        ("{bob}", "203.0.113.1"),
        ("{alice}", "203.0.113.1"),
        ("nobody{{n}}.test", "203.0.113.1"),
        ("{bob}", "2001:db8:0:{n}::1"),
    ],
    ids=["another's account", "this account", "any names", "from everywhere"],
)
async def test_hundreds_of_wrong_logins_delay_a_right_one_by_a_moment(
    network: Network, alice: Person, bob: Person, names: str, addresses: str, how: tuple[str, ...]
) -> None:
    names = names.format(alice=alice.handle, bob=bob.handle)
    with attack("logins", network.server.url, str(WRONG), names, addresses, *how):
        assert await log_in(network, alice, "198.51.100.1") < SOON_S


async def test_wrong_logins_to_ones_own_account_from_everywhere_do_not_lock_one_out(
    network: Network, alice: Person
) -> None:
    addresses = "2001:db8:1:{n}::1"
    with attack("logins", network.server.url, str(WRONG), alice.handle, addresses):
        assert await log_in(network, alice, "198.51.100.2") < 2 * SOON_S


async def test_neighbours_of_an_attacker_behind_one_address_get_in(
    network: Network, alice: Person, bob: Person
) -> None:
    with attack("logins", network.server.url, str(WRONG), bob.handle, "203.0.113.2"):
        assert await log_in(network, alice, "203.0.113.2") < SOON_S
