"""Whether the last server stopped cleanly: Holdfast records that; the reference leaves no WAL."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from database.open_elsewhere import is_open
from database.wal import wal_path
from pds.doctor.event_log import EventLogState
from pds.doctor.finding import Finding
from pds.doctor.users import Users
from pds.reporting import Sample, counted

CHECK: Final = "last stop"


def find_left_wals(databases: Iterable[Path]) -> Sample:
    """Find databases that nobody has open, but whose last writes are only in their WAL."""
    left = Sample()
    for path in databases:
        wal = wal_path(path)
        if os.access(wal, os.F_OK) and wal.stat().st_size and not is_open(path):
            left.add(str(path))
    return left


def check_last_stop(log: EventLogState, path: Path, left: Sample, users: Users) -> Finding:
    """Judge the last stop by the event log `path` and the databases that have `left` a WAL."""
    flag = log.flag
    if users.server_pid is not None:
        return Finding.ok(CHECK, path, "a server is running")
    if flag is not None and flag.running:
        return Finding.warning(
            CHECK,
            path,
            "the last server did not stop in order, but crashed, was killed or lost power",
            "Start the server. If this report names errors, mend them first.",
        )
    if flag is not None and flag.latest_seq >= log.latest_seq:
        return Finding.ok(CHECK, path, "the last server stopped in order")
    return _check_reference(path, left, users)


def _check_reference(path: Path, left: Sample, users: Users) -> Finding:
    if left:
        return Finding.warning(
            CHECK,
            path,
            f"the reference PDS has left the WAL of {counted(left.count, 'database')}: {left}. It "
            "was killed, or stopped while Litestream had them open",
            "Leave the -wal files beside their databases and start the server, which takes them "
            "in. If this report names errors, mend them first.",
        )
    if users.others:
        message = "cannot be told while another program has the databases open"
        return Finding.skipped(CHECK, path, message)
    return Finding.ok(CHECK, path, "the reference PDS, which has used it last, stopped in order")
