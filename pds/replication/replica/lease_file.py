"""`lease.json`: who holds a replica, and a count that moves while they do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from pds.replication.errors import DamagedReplicaFile
from pds.replication.replica.names import LEASE

_KINDS: Final = {
    "server_id": str,
    "run_id": str,
    "host": str,
    "pid": int,
    "pid_space": str,
    "counter": int,
    "is_released": bool,
}


@dataclass(slots=True, frozen=True)
class LeaseFile:
    """What a supervisor writes into the place of its replica."""

    server_id: str
    """Its data directory."""
    run_id: str
    """Random: another for each start."""
    host: str
    pid: int
    pid_space: str
    """What the pid is unique in; empty if unknown. See `machine.pid_space`."""
    counter: int
    """Moves with each renewal."""
    is_released: bool = False

    @classmethod
    def decode(cls, data: bytes) -> LeaseFile:
        """Read a lease. Raises `DamagedReplicaFile`."""
        try:
            fields: Any = orjson.loads(data)
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict) or any(
            type(fields.get(name)) is not kind for name, kind in _KINDS.items()
        ):
            raise DamagedReplicaFile(
                f"{LEASE} of the replica is no lease: see that no other supervisor uses this "
                "place, then delete the file"
            )
        return cls(**{name: fields[name] for name in _KINDS})

    def encode(self) -> bytes:
        """Return the lease's JSON; inverse of `decode`."""
        return orjson.dumps(asdict(self))

    def counted(self, *, above: int = 0, is_released: bool = False) -> LeaseFile:
        """Return the next count of this lease, higher than `above`."""
        return replace(self, counter=max(self.counter, above) + 1, is_released=is_released)
