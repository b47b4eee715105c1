"""Why a server cannot be replicated or restored. Each message names the remedy."""

from __future__ import annotations


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


class ForeignReplica(ReplicationError):
    """The place holds the replica of another server."""


class DamagedReplicaFile(ReplicationError):
    """A file of the replica whose contents are not what was written."""


class LitestreamMissing(ReplicationError):
    """No Litestream program, or too old a one."""


class LitestreamFailed(ReplicationError):
    """A Litestream daemon does not answer, or has refused a request."""


class WrongKeySecret(ReplicationError):
    """The passphrase or identity does not open the signing keys of a replica, or is missing."""
