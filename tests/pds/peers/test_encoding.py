"""Messages between processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from actor_store.errors import QuotaExceeded
from actor_store.writes import UNSET, PreparedWrite
from database.errors import DatabaseBusy
from identity.plc import PlcError
from pds.peers.encoding import decode, encode
from pds.repos.plans import Create, Put, allow
from pds.xrpc.errors import XrpcError
from repo.cid import Cid
from repo.keys import K256PrivateKey, P256PrivateKey
from sequencer.events import AccountEvent, IdentityEvent

BLOCK = b"\xa0"
WRITE = PreparedWrite("create", "app.bsky.feed.post", "3k", Cid.of_dag_cbor(BLOCK), BLOCK)


@dataclass(slots=True)
class Counted:
    """A dataclass with a field that its constructor does not take."""

    n: int = 0
    seen: int = field(init=False, default=7)


@pytest.mark.parametrize(
    "value",
    [
        WRITE,
        Create(WRITE, replaces_alike=True),
        Put(WRITE, allow),
        Counted(3),
        AccountEvent("did:web:a", active=False, status="deleted"),
        IdentityEvent("did:web:a", "a.test").encode(),
        K256PrivateKey.generate().public,
        P256PrivateKey.generate().public,
        (None, 1, "a", b"b", {"c": [Path("d")]}),
    ],
)
def test_values_arrive_as_they_were(value: object) -> None:
    assert decode(encode(value)) == value


def test_what_stands_for_no_condition_stays_that() -> None:
    assert decode(encode(WRITE)).swap_record is UNSET


@pytest.mark.parametrize(
    "error",
    [
        DatabaseBusy(Path("a.sqlite"), "locked"),
        QuotaExceeded(used_bytes=1, quota_bytes=2, adding_bytes=3),
        XrpcError(429, "RateLimitExceeded", "slow down", retry_after_s=3),
        PlcError(502, "no"),
        OSError(28, "No space left on device"),
        ValueError("plain"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_arrive_whatever_their_constructor_takes(error: Exception) -> None:
    arrived = decode(encode(error))
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.args) == (str(error), error.args)
    assert vars(arrived) == vars(error)


def test_functions_travel_by_name_and_parts_of_them_with_their_arguments() -> None:
    arrived = decode(encode(partial(sum, [1, 2])))
    assert arrived() == 3


def test_what_has_no_name_is_refused_where_it_is_sent() -> None:
    with pytest.raises(Exception, match="pickle"):
        encode(lambda: None)
