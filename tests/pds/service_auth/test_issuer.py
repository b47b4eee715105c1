"""Service tokens are made once and used for a while, but only while their key is the account's."""

from __future__ import annotations

import base64

import pytest

from pds.service_auth.issuer import REUSED_FOR_S, ServiceTokens
from repo.keys import K256PrivateKey, parse_did_key
from tests.pds.upstream import decode_part

DID, AUD, LXM = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:web:service.example.com", "com.example.x"


class World:
    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.keys = {DID: K256PrivateKey.generate()}
        self.tokens = ServiceTokens(lambda did: self.keys[did], clock=lambda: self.now_s)

    def get(self, did: str = DID, aud: str = AUD, lxm: str = LXM) -> str:
        return self.tokens.get(did, aud, lxm)


@pytest.fixture
def world() -> World:
    return World()


def test_a_token_is_used_again_while_it_has_time_to_arrive(world: World) -> None:
    first = world.get()
    world.now_s += REUSED_FOR_S - 1
    assert world.get() == first
    world.now_s += 2
    second = world.get()
    claims = decode_part(second.split(".")[1])
    assert second != first
    assert (claims["iat"], claims["exp"]) == (int(world.now_s), int(world.now_s) + 60)


def test_a_token_is_for_one_account_one_service_and_one_method(world: World) -> None:
    other = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
    world.keys[other] = K256PrivateKey.generate()
    tokens = {
        world.get(),
        world.get(did=other),
        world.get(aud="did:web:other.example.com"),
        world.get(lxm="com.example.y"),
    }
    assert len(tokens) == 4


def test_a_new_key_signs_a_new_token(world: World) -> None:
    world.get()
    world.keys[DID] = K256PrivateKey.generate()
    signed, _, signature = world.get().rpartition(".")
    key = parse_did_key(world.keys[DID].did_key)
    assert key.verify(signed.encode(), base64.urlsafe_b64decode(signature + "=="))


def test_an_account_that_is_gone_gets_none(world: World) -> None:
    world.get()
    del world.keys[DID]
    with pytest.raises(KeyError):
        world.get()
