"""did:plc states, operations and histories for tests."""

from __future__ import annotations

from dataclasses import replace

from identity.plc_data import PlcData, PlcService
from identity.plc_log import PlcLogEntry, validate_next
from identity.plc_operation import PlcOperation
from repo.cid import Cid
from repo.keys import K256PrivateKey, P256PrivateKey, PrivateKey
from repo.syntax import Did

RECOVERY_KEY = P256PrivateKey.from_bytes(b"\x01" * 32)
SERVER_KEY = K256PrivateKey.from_bytes(b"\x02" * 32)
WEAK_KEY = K256PrivateKey.from_bytes(b"\x03" * 32)
SIGNING_KEY = K256PrivateKey.from_bytes(b"\x04" * 32)
STRANGERS_KEY = K256PrivateKey.from_bytes(b"\x05" * 32)


def plc_data(
    handle: str = "alice.test",
    keys: tuple[PrivateKey, ...] = (RECOVERY_KEY, SERVER_KEY, WEAK_KEY),
) -> PlcData:
    """The state of an account on a PDS."""
    return PlcData(
        rotation_keys=tuple(key.did_key for key in keys),
        verification_methods={"atproto": SIGNING_KEY.did_key},
        also_known_as=(f"at://{handle}",),
        services={
            "atproto_pds": PlcService("AtprotoPersonalDataServer", "https://pds.example.com")
        },
    )


class History:
    """A log that grows by operations which `validate_next` accepts."""

    def __init__(self, key: PrivateKey = SERVER_KEY, data: PlcData | None = None) -> None:
        self.entries: list[PlcLogEntry] = []
        self.now_ms = 1_700_000_000_000
        genesis = PlcOperation.sign(data or plc_data(), prev=None, key=key)
        self.did: Did = genesis.did()
        self.append(genesis)

    def append(self, operation: PlcOperation) -> tuple[Cid, ...]:
        """Add `operation` a second after the last one; return what it nullifies."""
        self.now_ms += 1_000
        nullified = validate_next(self.did, self.entries, operation, now_ms=self.now_ms)
        self.entries = [
            replace(entry, nullified=entry.nullified or entry.cid in nullified)
            for entry in self.entries
        ]
        self.entries.append(PlcLogEntry(self.did, operation, False, self.now_ms))
        return nullified

    def update(
        self, handle: str, key: PrivateKey = SERVER_KEY, *, prev: Cid | None = None
    ) -> PlcOperation:
        """Append a change of handle, after `prev` or the last operation."""
        operation = PlcOperation.sign(plc_data(handle), prev=prev or self.last.cid, key=key)
        self.append(operation)
        return operation

    @property
    def last(self) -> PlcLogEntry:
        """The entry that sets the state."""
        return next(entry for entry in reversed(self.entries) if not entry.nullified)
