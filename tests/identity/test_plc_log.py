from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from identity.plc_data import InvalidPlcOperation
from identity.plc_log import (
    RECOVERY_WINDOW_MS,
    GenesisMismatch,
    InvalidPlcSignature,
    LateRecovery,
    MisorderedOperation,
    PlcLogEntry,
    iso_of,
    validate_log,
    validate_next,
)
from identity.plc_operation import PlcOperation
from repo.cid import Cid
from repo.keys import PrivateKey
from repo.syntax import Did
from tests.identity.plc_samples import (
    RECOVERY_KEY,
    SERVER_KEY,
    SIGNING_KEY,
    STRANGERS_KEY,
    WEAK_KEY,
    History,
    plc_data,
)
from tests.identity.test_plc_operation import LEGACY_CREATE

P256_ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551


def test_a_history_of_updates_is_valid() -> None:
    history = History()
    for key in (SERVER_KEY, RECOVERY_KEY, WEAK_KEY):
        history.update("bob.test", key)
    assert validate_log(history.did, history.entries) == history.last.operation


def test_the_older_format_is_allowed_first_only() -> None:
    create = PlcOperation.parse(LEGACY_CREATE)
    assert validate_next(create.did(), [], create, now_ms=0) == ()
    log = [PlcLogEntry(create.did(), create, False, 0)]
    with pytest.raises(MisorderedOperation):
        validate_next(create.did(), log, create, now_ms=0)


def test_a_first_operation_must_hash_to_the_did() -> None:
    operation = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    with pytest.raises(GenesisMismatch) as caught:
        validate_next(Did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), [], operation, now_ms=0)
    assert caught.value.expected == operation.did()


@pytest.mark.parametrize("key", [STRANGERS_KEY, SIGNING_KEY])
def test_only_rotation_keys_sign(key: PrivateKey) -> None:
    genesis = PlcOperation.sign(plc_data(), prev=None, key=key)
    with pytest.raises(InvalidPlcSignature):
        validate_next(genesis.did(), [], genesis, now_ms=0)
    with pytest.raises(InvalidPlcSignature):
        History().update("bob.test", key)


def test_an_update_is_signed_by_keys_of_the_state_before_it() -> None:
    history = History()
    takeover = PlcOperation.sign(
        plc_data(keys=(STRANGERS_KEY,)), prev=history.last.cid, key=STRANGERS_KEY
    )
    with pytest.raises(InvalidPlcSignature):
        history.append(takeover)
    history.append(
        PlcOperation.sign(plc_data(keys=(STRANGERS_KEY,)), prev=history.last.cid, key=SERVER_KEY)
    )
    with pytest.raises(InvalidPlcSignature):
        history.update("bob.test", SERVER_KEY)
    history.update("bob.test", STRANGERS_KEY)


def test_a_forged_signature_is_refused() -> None:
    history = History()
    signed = PlcOperation.sign(plc_data("bob.test"), prev=history.last.cid, key=SERVER_KEY)
    forged = PlcOperation.parse({**signed.to_json(), "alsoKnownAs": ["at://eve.test"]})
    with pytest.raises(InvalidPlcSignature):
        history.append(forged)


def test_prev_must_be_an_operation_of_this_did() -> None:
    history, other = History(), History(data=plc_data("other.test"))
    for prev in (Cid.of_dag_cbor(b"nothing"), other.last.cid):
        with pytest.raises(MisorderedOperation):
            history.update("bob.test", prev=prev)
    with pytest.raises(MisorderedOperation):
        history.append(PlcOperation.sign(plc_data("bob.test"), prev=None, key=SERVER_KEY))


def test_a_history_begins_with_a_first_operation() -> None:
    update = PlcOperation.sign(plc_data(), prev=Cid.of_dag_cbor(b""), key=SERVER_KEY)
    tombstone = PlcOperation.sign_tombstone(prev=Cid.of_dag_cbor(b""), key=SERVER_KEY)
    for operation in (update, tombstone):
        with pytest.raises(MisorderedOperation):
            validate_next(operation.did(), [], operation, now_ms=0)


def test_nothing_follows_a_tombstone() -> None:
    history = History()
    history.append(PlcOperation.sign_tombstone(prev=history.last.cid, key=SERVER_KEY))
    for key in (RECOVERY_KEY, SERVER_KEY):
        with pytest.raises(MisorderedOperation):
            history.update("bob.test", key)


def test_a_stronger_key_overrules_all_that_follows_its_fork() -> None:
    history = History()
    genesis = history.last.cid
    theft = [history.update(f"eve{n}.test", SERVER_KEY).cid for n in range(3)]
    recovery = PlcOperation.sign(plc_data("alice.test"), prev=genesis, key=RECOVERY_KEY)
    assert history.append(recovery) == tuple(theft)
    assert [entry.nullified for entry in history.entries] == [False, True, True, True, False]
    assert validate_log(history.did, history.entries) == recovery
    assert (
        history.append(PlcOperation.sign(plc_data("bob.test"), prev=recovery.cid, key=SERVER_KEY))
        == ()
    )


def test_a_tombstone_can_be_overruled() -> None:
    history = History()
    genesis = history.last.cid
    tombstone = PlcOperation.sign_tombstone(prev=genesis, key=SERVER_KEY)
    history.append(tombstone)
    recovery = PlcOperation.sign(plc_data(), prev=genesis, key=RECOVERY_KEY)
    assert history.append(recovery) == (tombstone.cid,)


@pytest.mark.parametrize("key", [SERVER_KEY, WEAK_KEY])
def test_an_equal_or_weaker_key_overrules_nothing(key: PrivateKey) -> None:
    history = History()
    genesis = history.last.cid
    history.update("bob.test", SERVER_KEY)
    with pytest.raises(InvalidPlcSignature):
        history.update("eve.test", key, prev=genesis)


def test_the_strongest_key_is_never_overruled() -> None:
    history = History()
    genesis = history.last.cid
    history.update("bob.test", RECOVERY_KEY)
    with pytest.raises(InvalidPlcSignature):
        history.update("eve.test", RECOVERY_KEY, prev=genesis)


def test_what_counts_is_who_signed_the_first_operation_after_the_fork() -> None:
    history = History()
    genesis = history.last.cid
    history.update("eve.test", WEAK_KEY)
    history.update("bob.test", RECOVERY_KEY)
    history.update("alice.test", SERVER_KEY, prev=genesis)
    assert [entry.nullified for entry in history.entries] == [False, True, True, False]


def test_an_overruled_operation_cannot_be_followed() -> None:
    history = History()
    genesis = history.last.cid
    overruled = history.update("eve.test", SERVER_KEY)
    history.update("alice.test", RECOVERY_KEY, prev=genesis)
    with pytest.raises(MisorderedOperation):
        history.update("eve.test", SERVER_KEY, prev=overruled.cid)


def test_a_recovery_can_be_overruled_by_a_stronger_one() -> None:
    history = History()
    genesis = history.last.cid
    history.update("eve.test", WEAK_KEY)
    history.update("bob.test", SERVER_KEY, prev=genesis)
    history.update("alice.test", RECOVERY_KEY, prev=genesis)
    assert [entry.nullified for entry in history.entries] == [False, True, True, False]
    assert validate_log(history.did, history.entries) == history.last.operation


def test_recovery_is_possible_for_72_hours_and_not_a_millisecond_longer() -> None:
    history = History()
    genesis = history.last.cid
    theft = history.update("eve.test", SERVER_KEY)
    history.update("eve2.test", SERVER_KEY)
    recovery = PlcOperation.sign(plc_data(), prev=genesis, key=RECOVERY_KEY)
    since_ms = history.entries[1].created_at_ms
    with pytest.raises(LateRecovery) as caught:
        validate_next(
            history.did, history.entries, recovery, now_ms=since_ms + RECOVERY_WINDOW_MS + 1
        )
    assert caught.value.lapsed_ms == RECOVERY_WINDOW_MS + 1
    assert str(caught.value) == (
        "Recovery operation occurred outside of the allowed 72 hr: 259200001ms"
    )
    nullified = validate_next(
        history.did, history.entries, recovery, now_ms=since_ms + RECOVERY_WINDOW_MS
    )
    assert nullified[0] == theft.cid


def test_a_log_with_wrong_flags_or_a_missing_operation_is_refused() -> None:
    history = History()
    genesis = history.last.cid
    history.update("eve.test", SERVER_KEY)
    history.update("alice.test", RECOVERY_KEY, prev=genesis)
    first, second, third = history.entries
    wrong_logs = [
        [],
        [first, replace(second, nullified=False), third],
        [first, second],
        [second, third],
        [first, third, second],
        [first, replace(second, created_at_ms=0), replace(third, created_at_ms=10**12)],
    ]
    for log in wrong_logs:
        with pytest.raises(InvalidPlcOperation):
            validate_log(history.did, log)


def respelled(operation: PlcOperation) -> dict[str, PlcOperation]:
    """The same with signatures that the public directory does not take any more."""
    raw = base64.urlsafe_b64decode(operation.sig + "==")
    high_s = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    sigs = {
        "padded": operation.sig + "==",
        "high S": base64.urlsafe_b64encode(high_s).decode().rstrip("="),
    }
    return {
        name: PlcOperation.parse({**operation.to_json(), "sig": sig}) for name, sig in sigs.items()
    }


@pytest.mark.parametrize("spelling", ["padded", "high S"])
def test_signatures_that_were_taken_once_are_valid_in_logs_only(spelling: str) -> None:
    first = History().last
    genesis, operation = (
        respelled(PlcOperation.sign(plc_data(name), prev=prev, key=RECOVERY_KEY))[spelling]
        for name, prev in (("alice.test", None), ("bob.test", first.cid))
    )
    for did, log, wrong in ((genesis.did(), [], genesis), (first.did, [first], operation)):
        with pytest.raises(InvalidPlcSignature):
            validate_next(did, log, wrong, now_ms=first.created_at_ms)
        entry = replace(first, did=did, operation=wrong)
        assert validate_log(did, [*log, entry]) == wrong


def test_log_entries_survive_the_wire() -> None:
    entry = History().last
    assert PlcLogEntry.from_json(entry.to_json()) == entry
    for wrong in (
        {**entry.to_json(), "cid": str(Cid.of_dag_cbor(b""))},
        {**entry.to_json(), "createdAt": "yesterday"},
        {**entry.to_json(), "createdAt": None},
        {"did": entry.did},
    ):
        with pytest.raises(InvalidPlcOperation):
            PlcLogEntry.from_json(wrong)


def test_times_are_written_with_milliseconds() -> None:
    assert iso_of(0) == "1970-01-01T00:00:00.000Z"
    assert iso_of(1_795_178_321_853) == "2026-11-20T12:38:41.853Z"
