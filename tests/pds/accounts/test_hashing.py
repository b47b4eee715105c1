"""Password hashes in the reference's format, and who gets a turn at making them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pds.accounts.accounts import Accounts
from pds.accounts.errors import InvalidCredentials
from pds.accounts.hashing import OPERATOR, Asker, Hashing, PasswordHasher
from pds.accounts.sessions import Session
from pds.fairness.turns import TooBusy
from repo.syntax import Did
from tests.known_passwords import unknown_passwords
from tests.pds.accounts.conftest import ALICE, BOB, MakeAccount


@pytest.fixture
def hasher() -> Iterator[Hashing]:
    with unknown_passwords(), ThreadPoolExecutor(1) as threads:
        yield Hashing(threads)


async def test_a_hash_is_scrypt_salted_with_the_text_of_the_salt(hasher: Hashing) -> None:
    salt, _, digest = (await hasher.hash("pässword")).partition(":")
    assert len(bytes.fromhex(salt)) == 16
    expected = hashlib.scrypt(
        "pässword".encode(), salt=salt.encode(), n=16384, r=8, p=1, dklen=64, maxmem=1 << 26
    )
    assert digest == expected.hex()


async def test_only_the_password_verifies(hasher: Hashing) -> None:
    stored = await hasher.hash("right")
    assert await hasher.verify("right", stored)
    assert not await hasher.verify("wrong", stored)


async def test_two_hashes_of_one_password_differ(hasher: Hashing) -> None:
    assert await hasher.hash("same") != await hasher.hash("same")


async def test_an_app_password_hash_can_be_looked_up_but_only_for_its_account(
    hasher: Hashing,
) -> None:
    stored = await hasher.hash_app_password(ALICE, "aaaa-bbbb-cccc-dddd")
    assert stored == await hasher.hash_app_password(ALICE, "aaaa-bbbb-cccc-dddd")
    assert stored != await hasher.hash_app_password(BOB, "aaaa-bbbb-cccc-dddd")
    assert stored.startswith(hashlib.sha256(ALICE.encode()).digest()[:16].hex() + ":")


@pytest.mark.parametrize("stored", [None, "", "no-separator", ":", "salt:"])
async def test_a_stored_hash_of_another_format_matches_nothing(
    hasher: Hashing, stored: str | None
) -> None:
    assert not await hasher.verify("", stored)


# --- What a login costs


class Noted:
    """What has been hashed, and the turns at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashes = 0
        self.turns: list[tuple[Asker, str]] = []
        run, turn = Hashing._run, PasswordHasher.turn

        async def noted_run(hashing: Hashing, password: str, salt: str) -> str:
            self.hashes += 1
            return await run(hashing, password, salt)

        def noted_turn(hasher: PasswordHasher, asker: Asker, *, about: str) -> object:
            self.turns.append((asker, about))
            return turn(hasher, asker, about=about)

        monkeypatch.setattr(Hashing, "_run", noted_run)
        monkeypatch.setattr(PasswordHasher, "turn", noted_turn)


@pytest.mark.parametrize(
    "identifier",
    ["alice.test", "alice@example.com", ALICE, "bob.test", "nobody.test", "no@body.test", "", "x:"],
)
@pytest.mark.parametrize("state", ["active", "with app passwords", "deactivated", "taken down"])
async def test_every_wrong_login_costs_one_turn_of_two_hashes_whether_there_is_an_account_or_not(
    accounts: Accounts,
    alice: Session,
    make_account: MakeAccount,
    monkeypatch: pytest.MonkeyPatch,
    identifier: str,
    state: str,
) -> None:
    await make_account(did=BOB, handle="bob.test")  # Who has no password.
    if state == "with app passwords":
        await accounts.app_passwords.create(ALICE, "phone")
    elif state == "deactivated":
        await accounts.states.deactivate(ALICE)
    elif state == "taken down":
        await accounts.states.takedown(ALICE)
    noted = Noted(monkeypatch)
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check(identifier, "wrong")
    assert (noted.hashes, noted.turns) == (2, [(OPERATOR, identifier.lower())])


async def test_a_right_password_costs_one_hash_and_an_app_password_two(
    accounts: Accounts, alice: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = await accounts.app_passwords.create(ALICE, "phone")
    noted = Noted(monkeypatch)
    await accounts.logins.check("alice.test", "alice-pass")
    assert noted.hashes == 1
    await accounts.logins.check("alice.test", text)
    assert noted.hashes == 3


@pytest.mark.parametrize("did", [ALICE, BOB])
async def test_a_password_for_deletion_costs_one_hash_whether_the_account_has_one_or_not(
    accounts: Accounts, alice: Session, monkeypatch: pytest.MonkeyPatch, did: str
) -> None:
    noted = Noted(monkeypatch)
    with pytest.raises(InvalidCredentials):
        await accounts.logins.check_password(Did(did), "wrong")
    assert noted.hashes == 1


# --- Who goes first


class Stopped:
    """A hasher on which two turns are taken for good: whoever comes waits until they are back."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self.done: list[str] = []
        self.refused: list[str] = []
        self._hasher = hasher
        self._go_on = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def stop(self) -> None:
        self._go_on.clear()
        self.done.clear()
        for number in range(2):
            self._tasks.append(asyncio.create_task(self._hold(f"first {number}")))
        await settle()

    async def join(self, label: str, who: str, about: str) -> None:
        self._tasks.append(asyncio.create_task(self._log_in(label, Asker(who), about)))
        await settle()

    async def go_on(self) -> None:
        self._go_on.set()
        await asyncio.gather(*self._tasks)

    async def _hold(self, name: str) -> None:
        async with self._hasher.turn(Asker(name), about=name):
            await self._go_on.wait()

    async def _log_in(self, label: str, asker: Asker, about: str) -> None:
        try:
            async with self._hasher.turn(asker, about=about):
                await asyncio.sleep(0)
                self.done.append(label)
        except TooBusy:
            self.refused.append(label)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def stopped() -> AsyncIterator[Stopped]:
    hasher = PasswordHasher()
    stopped = Stopped(hasher)
    await stopped.stop()
    yield stopped
    hasher.close()


@pytest.mark.parametrize(
    ("attack", "about", "who", "name"),
    [
        ("198.51.100.1", "alice.test", "203.0.113.9", "bob.test"),
        ("198.51.100.1", "alice.test", "203.0.113.9", "alice.test"),
        ("198.51.100.1", "alice.test", "198.51.100.1", "bob.test"),
        ("198.51.100.1", "nobody{n}.test", "203.0.113.9", "alice.test"),
        ("198.51.100.{n}", "alice.test", "203.0.113.9", "bob.test"),
    ],
)
async def test_a_right_login_waits_for_one_turn_though_hundreds_of_wrong_ones_wait(
    stopped: Stopped, attack: str, about: str, who: str, name: str
) -> None:
    for n in range(200):
        await stopped.join("attack", attack.format(n=n), about.format(n=n))
    await stopped.join("right", who, name)
    await stopped.go_on()
    assert stopped.done.index("right") <= 2
    assert len(stopped.done) <= 1 + 128


async def test_wrong_logins_to_an_account_from_everywhere_do_not_lock_its_owner_out(
    stopped: Stopped,
) -> None:
    for n in range(200):
        await stopped.join("attack", f"198.51.100.{n}", "alice.test")
    await stopped.join("right", "203.0.113.9", "alice.test")
    await stopped.go_on()
    assert "right" in stopped.done


async def test_addresses_that_have_had_turns_come_after_the_owner_of_an_account(
    stopped: Stopped,
) -> None:
    for n in range(10):
        await stopped.join("attack", f"198.51.100.{n}", "alice.test")
    await stopped.go_on()
    await stopped.stop()
    for n in range(100):
        await stopped.join("attack", f"198.51.100.{n % 10}", "alice.test")
    await stopped.join("right", "203.0.113.9", "alice.test")
    await stopped.go_on()
    assert stopped.done.index("right") <= 2


@pytest.mark.parametrize(
    "network", ["2001:db8:1:{n:x}::/64", "198.51.100.{n}"], ids=["IPv6", "IPv4"]
)
async def test_ever_new_addresses_and_names_do_not_keep_out_whoever_has_logged_in_before(
    stopped: Stopped, network: str
) -> None:
    await stopped.join("earlier", "203.0.113.9", "alice.test")
    for n in range(10):
        await stopped.join("attack", network.format(n=n), "alice.test")
    await stopped.go_on()
    await stopped.stop()
    for n in range(100, 250):
        await stopped.join("attack", network.format(n=n), f"nobody{n}.test")
    await stopped.join("right", "203.0.113.9", "alice.test")
    for n in range(250, 256):
        await stopped.join("attack", network.format(n=n), f"nobody{n}.test")
    await stopped.go_on()
    assert stopped.done.index("right") <= 2


async def test_what_others_ask_about_a_name_does_not_count_against_its_owner(
    stopped: Stopped,
) -> None:
    for n in range(10):
        await stopped.join("attack", f"198.51.{n}.1", "alice.test")
    await stopped.go_on()
    await stopped.stop()
    await stopped.join("right", "203.0.113.9", "alice.test")
    for n in range(20):
        await stopped.join("attack", f"192.0.{n}.1", f"nobody{n}.test")
    await stopped.go_on()
    assert stopped.done.index("right") <= 2


async def test_an_office_that_comes_all_at_once_gets_in(stopped: Stopped) -> None:
    for n in range(50):
        await stopped.join(f"{n}", "203.0.113.9", f"person{n}.test")
    for n in range(30):
        await stopped.join(f"bot {n}", "203.0.114.9", "bot.test")
    await stopped.go_on()
    assert len(stopped.done) == 80
    assert stopped.refused == []


async def test_a_name_does_not_pass_for_an_address(stopped: Stopped) -> None:
    for _ in range(50):
        await stopped.join("attack", "198.51.100.1", "203.0.113.9")
    await stopped.join("right", "203.0.113.9", "alice.test")
    await stopped.go_on()
    assert stopped.done.index("right") <= 2


async def test_the_operator_does_not_wait_for_strangers(stopped: Stopped) -> None:
    for n in range(200):
        await stopped.join("attack", f"198.51.100.{n}", f"nobody{n}.test")
    await stopped.join("operator", OPERATOR.who, ALICE)
    await stopped.go_on()
    assert "operator" in stopped.done
