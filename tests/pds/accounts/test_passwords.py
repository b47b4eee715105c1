"""Password hashes in the reference's format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from pds.accounts.passwords import PasswordHasher
from tests.pds.accounts.conftest import ALICE, BOB


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    hasher = PasswordHasher()
    yield hasher
    hasher.close()


async def test_a_hash_is_scrypt_salted_with_the_text_of_the_salt(hasher: PasswordHasher) -> None:
    salt, _, digest = (await hasher.hash("pässword")).partition(":")
    assert len(bytes.fromhex(salt)) == 16
    expected = hashlib.scrypt(
        "pässword".encode(), salt=salt.encode(), n=16384, r=8, p=1, dklen=64, maxmem=1 << 26
    )
    assert digest == expected.hex()


async def test_only_the_password_verifies(hasher: PasswordHasher) -> None:
    stored = await hasher.hash("right")
    assert await hasher.verify("right", stored)
    assert not await hasher.verify("wrong", stored)


async def test_two_hashes_of_one_password_differ(hasher: PasswordHasher) -> None:
    assert await hasher.hash("same") != await hasher.hash("same")


async def test_an_app_password_hash_can_be_looked_up_but_only_for_its_account(
    hasher: PasswordHasher,
) -> None:
    stored = await hasher.hash_app_password(ALICE, "aaaa-bbbb-cccc-dddd")
    assert stored == await hasher.hash_app_password(ALICE, "aaaa-bbbb-cccc-dddd")
    assert stored != await hasher.hash_app_password(BOB, "aaaa-bbbb-cccc-dddd")
    assert stored.startswith(hashlib.sha256(ALICE.encode()).digest()[:16].hex() + ":")


@pytest.mark.parametrize("stored", ["", "no-separator", ":", "salt:"])
async def test_a_stored_hash_of_another_format_matches_nothing(
    hasher: PasswordHasher, stored: str
) -> None:
    assert not await hasher.verify("", stored)
