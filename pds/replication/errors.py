"""Why a server cannot be replicated or restored. Each message names the remedy."""

from __future__ import annotations

from enum import StrEnum


class ReplicationError(Exception):
    """Replication, a restore or a standby cannot go on; the message is for the operator."""


class InvalidReplicaUrl(ReplicationError):
    """A URL that names no place of a replica, or one that this server cannot use."""


class ReplicaUnavailable(ReplicationError):
    """The place of the replica does not answer, or not now: worth another try later."""


class ReplicaRefused(ReplicationError):
    """The place of the replica refuses us, or is set up wrongly: no further try helps."""


class ReplicaFull(ReplicaUnavailable):
    """The place of the replica has no more room."""


class ReplicaFileMissing(ReplicationError):
    """A file that the replica does not have."""


class ReplicaInUse(ReplicationError):
    """Another supervisor replicates to this place."""


class LeaseHeld(ReplicaInUse):
    """A supervisor that runs holds the lease of the place."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"{holder} replicates to this place: stop it, or replicate to another prefix or "
            "directory"
        )
        self.holder = holder


class ForeignReplica(ReplicationError):
    """The place holds the replica of another server."""


class DamagedReplicaFile(ReplicationError):
    """A file of the replica whose contents are not what was written."""


class LitestreamMissing(ReplicationError):
    """No Litestream program, or too old a one."""


class Trouble(StrEnum):
    """Why a database could not be replicated, as far as Litestream's message tells."""

    DATABASE_GONE = "database gone"
    """There is no such file, or none yet."""
    DATABASE_REPLACED = "database replaced"
    """Another file has its name: it has to be registered anew."""
    DATABASE_BUSY = "database busy"
    """Another process holds a lock. The next try succeeds."""
    DATABASE_DAMAGED = "database damaged"
    """SQLite finds the file malformed."""
    LOCAL_STATE_DAMAGED = "local state damaged"
    """Litestream's own files beside the database: see `litestream.local_state`."""
    DISK_FULL = "disk full"
    """The disk of the database has no room for Litestream's files."""
    FORBIDDEN = "forbidden"
    """This user may not read or write the database or its directory."""
    REPLICA_UNAVAILABLE = "replica unavailable"
    """The place of the replica does not answer, or not now."""
    REPLICA_REFUSED = "replica refused"
    """Wrong credentials, no such bucket, a directory that may not be written to."""
    REPLICA_FULL = "replica full"
    """The place of the replica has no room."""
    NOT_REGISTERED = "not registered"
    """The daemon does not know the database, such as after it has started anew."""
    TIMED_OUT = "timed out"
    """Nothing was answered in time, and nothing tells why."""
    DAEMON_AWAY = "daemon away"
    """The daemon itself does not answer: it has ended, hangs, or starts just now."""
    OTHER = "other"
    """Anything else: see the message."""


class LitestreamFailed(ReplicationError):
    """A Litestream daemon does not answer, or has refused a request."""

    def __init__(self, message: str, trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(message)
        self.trouble = trouble


class WrongKeySecret(ReplicationError):
    """The passphrase or identity does not open the signing keys of a replica, or is missing."""
