"""Finding a commit's signer: earlier keys of a did:plc count, if its log is valid."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from identity.http import SafeHttp
from identity.plc import MAX_LOG_BYTES, MAX_LOG_OPERATIONS, PlcClient
from identity.plc_log import signing_keys
from identity.plc_operation import PlcOperation
from identity.signers import NotSigned, find_signer
from repo.cid import Cid
from repo.commit import SignedCommit, sign_commit
from repo.keys import K256PrivateKey, P256PrivateKey, PrivateKey
from tests.identity.conftest import Hang, WebHost
from tests.identity.plc_samples import (
    RECOVERY_KEY,
    SERVER_KEY,
    SIGNING_KEY,
    STRANGERS_KEY,
    History,
    plc_data,
)
from tests.identity.test_plc_operation import LEGACY_CREATE

FIRST, SECOND, THIRD = SIGNING_KEY, P256PrivateKey.generate(), K256PrivateKey.generate()


def named(history: History, key: str, signer: PrivateKey = SERVER_KEY, **more: Any) -> PlcOperation:
    """Append an operation by which the DID names another signing key."""
    data = replace(plc_data(), verification_methods={"atproto": key})
    prev = more.get("prev", history.last.cid)
    operation = PlcOperation.sign(data, prev=prev, key=signer)
    history.append(operation)
    return operation


@pytest.fixture
def history() -> History:
    """The log of a DID that has named three keys."""
    history = History()
    named(history, SECOND.did_key)
    named(history, THIRD.did_key)
    return history


def signed(did: str, key: PrivateKey) -> SignedCommit:
    return sign_commit(did, data=Cid.of_dag_cbor(b"tree"), rev="3l2vqs4u2dk2a", key=key)


def publish(
    host: WebHost, history: History, change: Callable[[Any], Any] = lambda log: log
) -> None:
    log = change([entry.to_json() for entry in history.entries])
    host.answer(f"/{history.did}/log/audit", json.dumps(log))


def test_keys_are_listed_the_last_first_and_once(history: History) -> None:
    named(history, FIRST.did_key)
    expected = (FIRST.did_key, THIRD.did_key, SECOND.did_key)
    assert signing_keys(history.entries) == expected
    history.append(PlcOperation.sign_tombstone(prev=history.last.cid, key=SERVER_KEY))
    assert signing_keys(history.entries) == expected


def test_the_oldest_form_of_operations_names_a_key() -> None:
    create = PlcOperation.parse(LEGACY_CREATE)
    entry = replace(History().last, did=create.did(), operation=create)
    assert signing_keys([entry]) == (LEGACY_CREATE["signingKey"],)


def test_keys_of_overruled_operations_are_left_out(history: History) -> None:
    before = history.last.cid
    named(history, STRANGERS_KEY.did_key)
    named(history, THIRD.did_key, RECOVERY_KEY, prev=before)
    assert STRANGERS_KEY.did_key not in signing_keys(history.entries)


@pytest.mark.parametrize("key", [FIRST, SECOND, THIRD], ids=["first", "second", "third"])
async def test_any_key_of_the_log_may_have_signed(
    open_http: SafeHttp, web_host: WebHost, history: History, key: PrivateKey
) -> None:
    publish(web_host, history)
    commit = signed(history.did, key)
    signer = await find_signer(commit.cid, commit.commit, [], PlcClient(web_host.url, open_http))
    assert signer.did_key == key.did_key


async def test_the_log_is_not_asked_for_what_a_known_key_has_signed(
    open_http: SafeHttp, web_host: WebHost, history: History
) -> None:
    commit = signed(history.did, THIRD)
    keys = [FIRST.public, THIRD.public]
    signer = await find_signer(
        commit.cid, commit.commit, keys, PlcClient("http://[::1]:1", open_http)
    )
    assert signer.did_key == THIRD.did_key


async def test_keys_of_other_kinds_are_passed_over(
    open_http: SafeHttp, web_host: WebHost, history: History
) -> None:
    named(history, "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
    publish(web_host, history)
    commit = signed(history.did, FIRST)
    signer = await find_signer(commit.cid, commit.commit, [], PlcClient(web_host.url, open_http))
    assert signer.did_key == FIRST.did_key


async def expect_unsigned(
    commit: SignedCommit, url: str, http: SafeHttp, *, is_certain: bool
) -> str:
    with pytest.raises(NotSigned, match=f"the commit {commit.cid} is not signed") as refused:
        await find_signer(commit.cid, commit.commit, [THIRD.public], PlcClient(url, http))
    assert refused.value.is_certain is is_certain
    return str(refused.value)


async def test_a_stranger_s_key_has_not_signed(
    open_http: SafeHttp, web_host: WebHost, history: History
) -> None:
    publish(web_host, history)
    commit = signed(history.did, STRANGERS_KEY)
    reason = await expect_unsigned(commit, web_host.url, open_http, is_certain=True)
    assert "nor by an earlier one" in reason


async def test_a_did_web_has_no_log(open_http: SafeHttp, web_host: WebHost) -> None:
    commit = signed("did:web:example.com", FIRST)
    reason = await expect_unsigned(commit, web_host.url, open_http, is_certain=True)
    assert "only a did:plc has a log" in reason
    assert web_host.requests == []


def with_forged_key(log: Any) -> Any:
    """Return the log with a last operation that no key of the DID has signed."""
    data = replace(plc_data(), verification_methods={"atproto": STRANGERS_KEY.did_key})
    prev = Cid.parse(log[-1]["cid"])
    forged = PlcOperation.sign(data, prev=prev, key=STRANGERS_KEY)
    line = {**log[-1], "operation": forged.to_json(), "cid": str(forged.cid)}
    return [*log, line]


def not_overruled(log: Any) -> Any:
    return [{**line, "nullified": not line["nullified"]} for line in log]


INVALID: dict[str, Callable[[Any], Any]] = {
    "forged": with_forged_key,
    "wrong flags": not_overruled,
    "without its first operation": lambda log: log[1:],
    "of another DID": lambda _: [
        entry.to_json() for entry in History(data=plc_data("b.test")).entries
    ],
    "empty": lambda _: [],
    "no list": lambda _: {},
    "too many operations": lambda log: [log[0]] * (MAX_LOG_OPERATIONS + 1),
    "too many bytes": lambda log: [*log, "x" * MAX_LOG_BYTES],
}


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID.keys())
async def test_a_log_that_no_honest_directory_gives_out_proves_nothing(
    open_http: SafeHttp, web_host: WebHost, history: History, change: Callable[[Any], Any]
) -> None:
    publish(web_host, history, change)
    for key in (FIRST, STRANGERS_KEY):
        commit = signed(history.did, key)
        reason = await expect_unsigned(commit, web_host.url, open_http, is_certain=False)
        assert "earlier ones are not to be had" in reason


async def test_a_directory_that_hangs_is_waited_for_only_so_long(
    web_host: WebHost, history: History
) -> None:
    hang = web_host.pages[f"/{history.did}/log/audit"] = Hang()
    async with SafeHttp(timeout_ms=50) as http:
        commit = signed(history.did, FIRST)
        reason = await expect_unsigned(commit, web_host.url, http, is_certain=False)
    hang.release.set()
    assert "no answer within" in reason
