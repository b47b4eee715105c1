"""DPoP nonces: the reference's, of which any process accepts any other's."""

from __future__ import annotations

import pytest

from pds.oauth.dpop.nonces import DpopNonces, nonce_secret
from tests.pds.accounts.conftest import FakeClock

REFERENCE = "3MUUm6u9FhyugKUkp-Vv_TPRU4s8omLQGKh2EqGkHKk"
"""The nonce that the reference PDS computes of SECRET for minute 30,000,001."""
SECRET = "1c9d92bea9a498e6165a39473e724a5d1c9d92bea9a498e6165a39473e724a5d"


def test_the_secret_of_the_settings_is_used() -> None:
    assert nonce_secret(SECRET, jwt_secret="a") == bytes.fromhex(SECRET)


def test_without_one_it_follows_from_the_jwt_secret() -> None:
    derived = nonce_secret(None, jwt_secret="a")
    assert len(derived) == 32
    assert derived == nonce_secret(None, jwt_secret="a") != nonce_secret(None, jwt_secret="b")
    assert derived != b"a"


def test_processes_with_one_secret_accept_each_other_s(clock: FakeClock) -> None:
    ours, theirs = (DpopNonces(bytes.fromhex(SECRET), clock=clock) for _ in range(2))
    assert theirs.check(ours.next())
    assert not DpopNonces(b"\0" * 32, clock=clock).check(ours.next())


@pytest.mark.parametrize(
    ("later_s", "accepted"), [(0, True), (60, True), (120, True), (180, False)]
)
def test_the_nonce_given_out_is_accepted_in_this_minute_and_the_two_after(
    clock: FakeClock, later_s: int, accepted: bool
) -> None:
    nonces = DpopNonces(bytes.fromhex(SECRET), clock=clock)
    nonce = nonces.next()
    clock.now_s += later_s
    assert nonces.check(nonce) is accepted


def test_nonces_are_those_of_the_reference(clock: FakeClock) -> None:
    assert DpopNonces(bytes.fromhex(SECRET), clock=clock).next() == REFERENCE
