"""The log of one did:plc: which operation may come next, and which ones it nullifies.

Spec: https://web.plc.directory/spec/v0.1/did-plc (Key Rotation & Account Recovery)

InvalidPlcOperation
├── GenesisMismatch       a first operation does not hash to the DID
├── MisorderedOperation   `prev` is not an operation that can be followed
├── InvalidPlcSignature   no authorised key has signed it
└── LateRecovery          the operations it would nullify are older than 72 hours
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from identity.did_document import ATPROTO_KEY
from identity.plc_data import InvalidPlcOperation, read_object, read_text
from identity.plc_operation import PlcOperation
from repo.cid import Cid
from repo.syntax import Did

RECOVERY_WINDOW_MS: Final = 72 * 60 * 60 * 1_000
"""How long after its acceptance an operation may be nullified by a stronger key."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class GenesisMismatch(InvalidPlcOperation):
    """The first operation hashes to `expected`, not to the DID it was sent for."""

    def __init__(self, expected: Did) -> None:
        self.expected = expected
        super().__init__(f"Hash of genesis operation does not match DID identifier: {expected}")


class MisorderedOperation(InvalidPlcOperation):
    """`prev` is missing, unknown, nullified or a tombstone."""

    def __init__(self) -> None:
        super().__init__("Operations not correctly ordered")


class InvalidPlcSignature(InvalidPlcOperation):
    """No rotation key that may sign at this point has signed the operation."""

    def __init__(self, operation: PlcOperation) -> None:
        self.cid = operation.cid
        super().__init__(f"Invalid signature on op: {operation.cid}")


class LateRecovery(InvalidPlcOperation):
    """The recovery comes `lapsed_ms` milliseconds after the first operation it would nullify."""

    def __init__(self, lapsed_ms: int) -> None:
        self.lapsed_ms = lapsed_ms
        super().__init__(f"Recovery operation occurred outside of the allowed 72 hr: {lapsed_ms}ms")


@dataclass(slots=True, frozen=True)
class PlcLogEntry:
    """An operation that a directory accepted at `created_at_ms` (since the Unix epoch)."""

    did: Did
    operation: PlcOperation
    nullified: bool
    """Whether a recovery has nullified it."""
    created_at_ms: int

    @property
    def cid(self) -> Cid:
        """The operation's CID."""
        return self.operation.cid

    def to_json(self) -> dict[str, Any]:
        """Return the entry as in an audit log."""
        return {
            "did": self.did,
            "operation": self.operation.to_json(),
            "cid": str(self.cid),
            "nullified": self.nullified,
            "createdAt": iso_of(self.created_at_ms),
        }

    @classmethod
    def from_json(cls, value: object) -> PlcLogEntry:
        """Read an entry of an audit log. Raises `InvalidPlcOperation`."""
        fields = read_object(value, "log entry")
        operation = PlcOperation.parse(fields.get("operation"))
        if fields.get("cid") != str(operation.cid):
            raise InvalidPlcOperation(f"the log has another CID than {operation.cid}")
        did = Did(read_text(fields.get("did"), "did"))
        created_at_ms = parse_time_ms(read_text(fields.get("createdAt"), "createdAt"))
        return cls(did, operation, fields.get("nullified") is True, created_at_ms)


def parse_time_ms(text: str) -> int:
    """Parse an ISO 8601 time into milliseconds since the epoch. Raises `InvalidPlcOperation`."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return round((time - _EPOCH) / _MILLISECOND)
    except (ValueError, OverflowError) as exc:
        raise InvalidPlcOperation("not an ISO 8601 time") from exc


def iso_of(time_ms: int) -> str:
    """Format milliseconds since the Unix epoch as `YYYY-MM-DDTHH:MM:SS.sssZ`."""
    seconds, millis = divmod(time_ms, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03}Z"


def validate_next(
    did: Did,
    log: Sequence[PlcLogEntry],
    operation: PlcOperation,
    *,
    now_ms: int,
    lenient: bool = False,
) -> tuple[Cid, ...]:
    """Check that `operation` may be appended to `log`; return the CIDs it nullifies.

    `log` holds every operation accepted so far, in order. For `lenient`, see
    `PlcOperation.find_signer`. Raises `InvalidPlcOperation`.
    """
    if not log:
        _check_genesis(did, operation, lenient=lenient)
        return ()
    active = [entry for entry in log if not entry.nullified]
    # Search from the end, because it is nearly always the last one.
    at = next((i for i in reversed(range(len(active))) if active[i].cid == operation.prev), None)
    if at is None:
        raise MisorderedOperation
    previous, overruled = active[at].operation, active[at + 1 :]
    if previous.data is None:
        raise MisorderedOperation
    keys = previous.data.rotation_keys
    if overruled:
        keys = _stronger_keys(keys, overruled[0].operation)
    if operation.find_signer(keys, lenient=lenient) is None:
        raise InvalidPlcSignature(operation)
    if overruled:
        lapsed_ms = now_ms - overruled[0].created_at_ms
        if lapsed_ms > RECOVERY_WINDOW_MS:
            raise LateRecovery(lapsed_ms)
    return tuple(entry.cid for entry in overruled)


def validate_log(did: Did, entries: Iterable[PlcLogEntry]) -> PlcOperation:
    """Validate a whole audit log, including its `nullified` flags; return the last operation.

    Raises `InvalidPlcOperation` for a log that no honest directory returns.
    """
    claimed = list(entries)
    log: list[PlcLogEntry] = []
    for entry in claimed:
        nullified = validate_next(
            did, log, entry.operation, now_ms=entry.created_at_ms, lenient=True
        )
        if nullified:
            log = [replace(old, nullified=old.nullified or old.cid in nullified) for old in log]
        log.append(replace(entry, nullified=False))
    if not log or log != claimed:
        raise InvalidPlcOperation("the log is empty or its nullified operations are wrong")
    return next(entry.operation for entry in reversed(log) if not entry.nullified)


def signing_keys(log: Iterable[PlcLogEntry]) -> tuple[str, ...]:
    """Return the keys that a DID has named for its repository, newest first.

    Keys of nullified operations are not the owner's, and are left out. Each is a did:key, but may
    be of a kind that atproto does not use.
    """
    states = (entry.operation.data for entry in log if not entry.nullified)
    keys = [data.verification_methods.get(ATPROTO_KEY) for data in states if data is not None]
    return tuple(dict.fromkeys(key for key in reversed(keys) if key is not None))


def _check_genesis(did: Did, operation: PlcOperation, *, lenient: bool) -> None:
    if operation.prev is not None or operation.data is None:
        raise MisorderedOperation
    if operation.find_signer(operation.data.rotation_keys, lenient=lenient) is None:
        raise InvalidPlcSignature(operation)
    expected = operation.did()
    if expected != did:
        raise GenesisMismatch(expected)


def _stronger_keys(keys: tuple[str, ...], disputed: PlcOperation) -> tuple[str, ...]:
    """Return the keys ranked above the one that signed `disputed`."""
    # Lenient, because the operation has already been accepted.
    signer = disputed.find_signer(keys, lenient=True)
    return () if signer is None else keys[: keys.index(signer)]
