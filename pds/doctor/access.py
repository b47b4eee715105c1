"""Obstacles to starting a server: another user's files, or another server on its ports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pds.config import Settings
from pds.disk.data_directory import LOCK_FILE, needed_directories
from pds.disk.remedies import give_to_server
from pds.doctor.finding import Finding
from pds.server.listening import BoundPort, ListenError

ACCESS: Final = "access"
PORT: Final = "port"


def check_access(settings: Settings) -> Iterator[Finding]:
    """Check that this user can write to all that a server opens, and that directories exist."""
    missing = list(_find_missing(settings))
    faults: list[Finding] = []
    for path, fault in (*_directory_faults(settings), *_file_faults(settings)):
        # One finding per cause: everything below an inaccessible directory is inaccessible, too.
        if not any(path.is_relative_to(each.subject) for each in faults):
            faults.append(fault)
    yield from (*faults, *missing)
    if not faults and not missing:
        yield Finding.ok(ACCESS, settings.data_directory, "this user can write to all of it")


def _directory_faults(settings: Settings) -> Iterator[tuple[Path, Finding]]:
    for each in needed_directories(settings):
        fault = each.find_fault()
        if fault is not None:
            yield each.path, Finding.error(ACCESS, each.path, fault.message, fault.remedy)


def _file_faults(settings: Settings) -> Iterator[tuple[Path, Finding]]:
    for path in (
        settings.data_directory / LOCK_FILE,
        settings.account_db_path,
        settings.sequencer_db_path,
        settings.did_cache_db_path,
    ):
        # If root has opened a database, the files beside it may belong to root.
        for each in (path, *(path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))):
            if each.exists() and not os.access(each, os.R_OK | os.W_OK):
                message = "this user cannot write to it, and the server does not start"
                remedy = f"It belongs to uid {each.stat().st_uid}. {give_to_server(path)}"
                yield each, Finding.error(ACCESS, each, message, remedy)
                break


def _find_missing(settings: Settings) -> Iterator[Finding]:
    for each in needed_directories(settings):
        if each.kind in ("data", "blob") and not each.path.exists():
            yield Finding.warning(
                ACCESS,
                each.path,
                f"the {each.kind} directory is not there; the server makes it when it starts",
                f"Nothing for a new server. Else mount its disk, or correct {each.setting}.",
            )


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Check that a server could listen. Do not call while one runs."""
    places = [("PDS_PORT", settings.bind_address, settings.service.port)]
    if settings.metrics.port is not None:
        places.append(("PDS_METRICS_PORT", settings.metrics.host, settings.metrics.port))
    for setting, host, port in places:
        try:
            BoundPort.bind(host, port).close()
        except (ListenError, OverflowError) as exc:
            remedy = f"Stop the server that has it, or set {setting} to another port."
            yield Finding.error(PORT, setting, str(exc), remedy)
        else:
            yield Finding.ok(PORT, setting, f"{port} is free")
