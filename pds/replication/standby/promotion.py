"""From a standby to a server: the replica changes hands, and what is newest in it is applied.

The lease is taken first, so that the old primary's supervisor stops when it renews it. The manifest
then refuses its data directory for good: a lease alone could be taken back while the new server is
stopped. Each step may be done twice, so an interrupted promotion is typed again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Final

from database.files import sync
from pds.disk.data_directory import CHECK_FILE
from pds.replication.errors import ForeignReplica, LeaseHeld, ReplicationError
from pds.replication.ledger.ledger import Ledger
from pds.replication.replica.lease import Lease, LeaseTimes
from pds.replication.replica.manifest import Manifest, read_manifest, retire_server
from pds.replication.restore.services import mark_copy
from pds.replication.restore.target import LEDGER, SEQUENCER
from pds.replication.standby.directory import service_of, source_of

if TYPE_CHECKING:
    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.restore.target import RestoreTarget
    from pds.replication.standby.following import Standby
    from pds.replication.standby.state import StandbyState

_PROMOTED_AS: Final = "promotedAs"
_LAST_WRITES_S: Final = 2.0


class PrimaryRuns(ReplicationError):
    """The primary still replicates: two servers would have one identity."""


async def take_over(
    standby: Standby,
    place: ReplicaPlace,
    state: StandbyState,
    *,
    by_force: bool = False,
    times: LeaseTimes | None = None,
    tell: Callable[[str], object],
) -> None:
    """Take the replica from the primary, and bring the standby as far as the replica is.

    `by_force` takes it from one that runs. `tell` is called with what is done now. Raises
    `PrimaryRuns`, `ForeignReplica`, errors of the place, `DatabaseError`s and `OSError`; nothing is
    lost then, and a second try goes on.
    """
    times = times or LeaseTimes()
    tell("looking whether the primary still replicates, for up to a minute")
    manifest = await _manifest_of(place, state)
    server_id = _server_id(state)
    lease = Lease(place, server_id=server_id, times=times)
    try:
        await lease.acquire(by_force=by_force)
    except LeaseHeld as exc:
        raise PrimaryRuns(
            f"The primary still runs, or its replication does: {exc.holder} writes to the replica. "
            "Stop it and its server first, because two servers with one identity contradict each "
            "other; or take its place with `--force`."
        ) from exc
    await retire_server(place, manifest, server_id=server_id)
    if by_force and manifest.server_id != server_id:
        tell("waiting until the primary's replication has noticed")
        await asyncio.sleep(times.renew_s + _LAST_WRITES_S)
    tell("applying what is newest in the replica")
    await standby.finish()


def own_files(target: RestoreTarget, state: StandbyState) -> None:
    """Make the copies a new server's own. Raises `DatabaseError`s and `OSError`.

    Its recovery compares all stores, however old they are: consumers may have seen commits that
    never reached the replica, and not even a copy of a server that was stopped in order tells.
    """
    # No changes may be applied to what SQLite has written to, if the promotion is typed again.
    for name in (LEDGER, SEQUENCER):
        state.forget(name)
    path = target.services[LEDGER]
    if path.exists():
        with closing(Ledger.open(path)) as ledger:
            # The one that has the lease: the server that starts here goes on with it at once.
            ledger.state.set("serverId", _server_id(state))
    mark_copy(target)
    (target.directory / CHECK_FILE).touch()
    sync(target.directory)


def _server_id(state: StandbyState) -> str:
    """Return the id of the new server's data directory, the same after an interruption."""
    server_id = state.get(_PROMOTED_AS)
    if server_id is None:
        server_id = secrets.token_hex(16)
        state.set(_PROMOTED_AS, server_id)
    return server_id


async def _manifest_of(place: ReplicaPlace, state: StandbyState) -> Manifest:
    manifest = await read_manifest(place)
    if manifest is None or manifest.service_did != service_of(state):
        raise ForeignReplica(
            f"{source_of(state)} is not the replica of {service_of(state)} any more"
        )
    return manifest
