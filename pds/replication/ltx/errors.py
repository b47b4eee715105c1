"""What is wrong with an LTX file."""

from __future__ import annotations

from pds.replication.errors import DamagedReplicaFile


class DamagedLtx(DamagedReplicaFile):
    """An LTX file whose contents are not what was written; `path` says which."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[DamagedLtx], tuple[str, str]]:
        # For errors of worker processes.
        return type(self), (self.path, self.reason)
