"""Whether replication runs and its replica is current, where one is configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pds.config import Settings
from pds.doctor.finding import Finding
from pds.replication.health import find_faults, has_everything, lag_s
from pds.replication.options import STATUS_FILE
from pds.replication.status import ReplicationStatus, read_status
from pds.reporting import counted

CHECK: Final = "replication"


def check_replication(settings: Settings, *, is_running: bool) -> Iterator[Finding]:
    """Check what `pds replicate` says about itself; nothing where no replication is asked for.

    While no server is running (`is_running`), replication may be stopped, too.
    """
    path = settings.data_directory / STATUS_FILE
    status = read_status(path)
    if status is None and settings.replication.url is None:
        return
    if settings.replication.url is None:
        if status is not None and not status.is_alive:
            return  # It was tried once, or another server's directory has been taken over.
    elif not is_running and status is not None and has_everything(status):
        yield Finding.ok(CHECK, status.replica, "stopped, after everything had been sent")
        return
    faults = list(find_faults(status))
    subject = path if status is None else status.replica
    for fault in faults:
        make = Finding.error if is_running else Finding.warning
        yield make(CHECK, str(subject), fault.message, fault.remedy)
    if status is not None and not faults:
        told = "; ".join((_told(status), *status.warnings))
        yield Finding.ok(CHECK, status.replica, told)


def _told(status: ReplicationStatus) -> str:
    accounts = counted(status.actors.known, "account")
    waits = lag_s(status)
    return f"{accounts}; " + (
        f"the oldest change that is on its way is {waits:.1f} seconds old"
        if waits
        else "every change has been sent"
    )
