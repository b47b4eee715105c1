"""Second factors of two accounts on a database in `tmp_path`, with a clock that tests set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pyotp
import pytest

from database.connection import Database
from pds.accounts.account_store import AccountStore
from pds.accounts.schema import open_account_database
from pds.second_factors.passkeys import RelyingParty
from pds.second_factors.second_factors import SecondFactors
from repo.syntax import Did
from tests.pds.accounts.conftest import ALICE, BOB, FakeClock

PLACE = "203.0.113.5"
DEVICE = "dev-0"
PARTY = RelyingParty(id="pds.example.com", name="Example", origin="https://pds.example.com")

MakeFactors: TypeAlias = Callable[..., SecondFactors]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_account_database(tmp_path / "account.sqlite")
    store = AccountStore(db)
    with db.transaction():
        for did, name in ((ALICE, "alice"), (BOB, "bob")):
            store.add(
                did,
                handle=f"{name}.test",
                created_at="2026-01-01T00:00:00.000Z",
                deactivated_at=None,
                delete_after=None,
            )
            store.add_login(did, email=f"{name}@example.com", password_hash=f"00:{name}")
    yield db
    db.close()


@pytest.fixture
def make_factors(db: Database, clock: FakeClock) -> MakeFactors:
    def make(*, secret: bytes = bytes(32), required: bool = False) -> SecondFactors:
        return SecondFactors(db, secret=secret, party=PARTY, required=required, clock=clock)

    return make


@pytest.fixture
def factors(make_factors: MakeFactors) -> SecondFactors:
    return make_factors()


def code_of(secret: str, clock: FakeClock, *, steps: int = 0) -> str:
    """The code that an app shows, or has shown or will show some steps of 30 seconds away."""
    return pyotp.TOTP(secret).at(int(clock.now_s) + 30 * steps)


async def set_up_app(
    factors: SecondFactors, clock: FakeClock, did: Did = ALICE
) -> tuple[str, tuple[str, ...]]:
    """Set up an authenticator app; return its secret and the recovery codes."""
    secret, _ = factors.apps.offer(did)
    codes = await factors.set_up_app(did, secret, code_of(secret, clock))
    clock.now_s += 60
    return secret, codes


def wrong_code(secret: str, clock: FakeClock) -> str:
    """Six digits that are no code now."""
    right = {code_of(secret, clock, steps=step) for step in (-1, 0, 1)}
    return next(code for code in map("{:06}".format, range(10)) if code not in right)
