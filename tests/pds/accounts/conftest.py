"""Accounts on a database in `tmp_path`, with a clock that tests set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pds.accounts.accounts import Accounts, NewAccount
from pds.accounts.schema import open_account_database
from pds.accounts.session_tokens import SessionTokens
from pds.accounts.sessions import Session
from repo.cid import Cid
from repo.syntax import Did

START_S = 1_800_000_000.0
ALICE = Did("did:plc:aliceaaaaaaaaaaaaaaaaaaa")
BOB = Did("did:plc:bobbbbbbbbbbbbbbbbbbbbbb")
SERVICE_DID = "did:web:pds.example.com"
JWT_SECRET = "jwt-secret"
CID = Cid.of_dag_cbor(b"\xa0")
REV = "3jzfcijpj2z2a"


@dataclass
class FakeClock:
    """Seconds since the Unix epoch, as a test sets them."""

    now_s: float = START_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def session_tokens(clock: FakeClock) -> SessionTokens:
    return SessionTokens(jwt_secret=JWT_SECRET, service_did=SERVICE_DID, clock=clock)


@pytest.fixture
async def accounts(
    tmp_path: Path, clock: FakeClock, session_tokens: SessionTokens
) -> AsyncIterator[Accounts]:
    accounts = Accounts(
        open_account_database(tmp_path / "account.sqlite"),
        session_tokens=session_tokens,
        hostname="pds.example.com",
        clock=clock,
        min_login_ms=0,
    )
    yield accounts
    await accounts.close()


MakeAccount = Callable[..., Coroutine[Any, Any, Session]]


@pytest.fixture
def make_account(accounts: Accounts) -> MakeAccount:
    """Make an account; without arguments alice.test, who has no login."""

    async def make(
        did: Did = ALICE, handle: str = "alice.test", password: str | None = None, **fields: Any
    ) -> Session:
        if password is not None:
            fields["password_hash"] = await accounts.passwords.hash_new(did, password)
        return await accounts.create_account(
            NewAccount(did=did, handle=handle, cid=CID, rev=REV, **fields)
        )

    return make


@pytest.fixture
async def alice(make_account: MakeAccount) -> Session:
    """The session of alice.test, alice@example.com, whose password is `alice-pass`."""
    return await make_account(email="Alice@Example.com", password="alice-pass")
