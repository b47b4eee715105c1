"""Whether replication does its work: one judgement for `status`, `pds doctor` and the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pds.replication.errors import Trouble
from pds.replication.litestream.messages import trouble_of
from pds.replication.status import ReplicationStatus
from pds.reporting import counted

MAX_LAG_S: Final = 60.0
"""A change that has not reached the replica for longer is worth a look."""

_OF_THE_PLACE: Final = frozenset(
    {Trouble.REPLICA_UNAVAILABLE, Trouble.REPLICA_REFUSED, Trouble.REPLICA_FULL}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, as a sentence without its full stop, and what to do."""

    message: str
    remedy: str


def lag_s(status: ReplicationStatus) -> float:
    """Return the age of the oldest change that had not reached the replica, in seconds."""
    return max(status.actors.oldest_unsynced_s, *(each.lag_s for each in status.databases), 0.0)


def has_everything(status: ReplicationStatus) -> bool:
    """Whether a supervisor that has ended had sent all that it knew of."""
    waits = status.actors.dirty or status.copies.blobs_waiting or lag_s(status)
    return status.state == "stopped" and not waits


def find_faults(
    status: ReplicationStatus | None, *, max_lag_s: float = MAX_LAG_S
) -> Iterator[Fault]:
    """Yield what keeps changes from the replica now; nothing if they arrive there.

    `status` is None if no supervisor has written one.
    """
    if status is None:
        yield Fault(
            "replication has never run on this data directory",
            "Start the server with PDS_REPLICATION_URL, or type `pds replicate`, and look at its "
            "log.",
        )
        return
    if not status.is_alive and has_everything(status):
        yield Fault(
            "replication does not run: it was stopped",
            "Start it: with the server, or with `pds replicate`.",
        )
        return
    if not status.is_alive:
        yield Fault(
            f"replication does not run: {_end_of(status)}",
            "Look at the log for the reason, and start it: with the server, or with "
            "`pds replicate`.",
        )
        return
    if status.state == "unreachable":
        reason = status.last_error or "it does not answer"
        yield Fault(
            f"the replica {status.replica} takes nothing: {reason}",
            "Make it work again. Everything that waits is sent then; nothing has to be restarted.",
        )
    elif lag_s(status) > max_lag_s:
        yield Fault(
            f"changes wait for {lag_s(status):.0f} seconds to reach the replica",
            "Look at the processor, the disk and the network of this machine, and at the log.",
        )
    if status.state != "unreachable" and status.copies.error is not None:
        yield Fault(
            f"keys or blobs cannot be copied: {status.copies.error}",
            "Make that work again. Everything that waits is copied then.",
        )
    is_place_told = status.state == "unreachable"
    errors = [error for _, error in status.failing]
    if status.actors.failing and not (is_place_told and errors and all(map(_is_places, errors))):
        first = next((f": {did}: {error}" for did, error in status.failing), "")
        yield Fault(
            f"{counted(status.actors.failing, 'account')} cannot be replicated{first}",
            "Check the files of the accounts with `pds doctor`; the log has the reason of each.",
        )
    for each in status.databases:
        if each.last_error is not None and not (is_place_told and _is_places(each.last_error)):
            yield Fault(
                f"{each.name} cannot be replicated: {each.last_error}",
                "Check it with `pds doctor`, and look at the log.",
            )


def _is_places(error: str) -> bool:
    """Whether an error of one database is that of the place, which takes nothing of any."""
    return trouble_of(error) in _OF_THE_PLACE


def _end_of(status: ReplicationStatus) -> str:
    if status.state == "failed":
        return status.last_error or "it has failed"
    if status.state == "stopped":
        waits = counted(status.actors.dirty, "account")
        if status.copies.blobs_waiting:
            waits += f" and {counted(status.copies.blobs_waiting, 'blob')}"
        return f"it was stopped before all was sent; {waits} waited"
    return f"its last sign of life is {status.age_s:.0f} seconds old"
