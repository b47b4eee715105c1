"""What a server needs to start, which another user's files or another server may keep from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pds.config import Settings
from pds.data_directory import LOCK_FILE, needed_directories
from pds.doctor.finding import Finding
from pds.listening import BoundPort, ListenError
from pds.network_filesystem import existing_part

DIRECTORIES: Final = "directories"
PORT: Final = "port"


def check_directories(settings: Settings) -> Iterator[Finding]:
    """Whether this user can write to every directory, and which of them are not there."""
    faulty, missing = set[Path](), set[Path]()
    for each in needed_directories(settings):
        part = existing_part(each.path)
        fault = each.find_fault()
        if fault is not None:
            # One cause gives one finding: most directories are below the data directory.
            if part not in faulty:
                yield Finding.error(DIRECTORIES, each.path, fault.message, fault.remedy)
            faulty.add(part)
        elif not each.path.exists() and each.kind in ("data", "blob"):
            missing.add(each.path)
            yield Finding.warning(
                DIRECTORIES,
                each.path,
                f"the {each.kind} directory is not there; the server makes it when it starts",
                f"Nothing for a new server. Else mount its disk, or correct {each.setting}.",
            )
    if not faulty and not missing:
        yield Finding.ok(DIRECTORIES, settings.data_directory, "this user can write to all of them")


def check_files(settings: Settings) -> Iterator[Finding]:
    """Whether this user can write to the files that a server opens at its start."""
    for path in (
        settings.data_directory / LOCK_FILE,
        settings.account_db_path,
        settings.sequencer_db_path,
        settings.did_cache_db_path,
    ):
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            yield Finding.error(
                DIRECTORIES,
                path,
                f"this user (uid {os.getuid()}) cannot write to it, and the server does not start",
                f"Run doctor and server as the user that owns it (uid {path.stat().st_uid}), or "
                f"give it to the other one: chown USER {path}",
            )


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Whether a server could listen. Not to be asked while one runs."""
    places = [("PDS_PORT", settings.service.host, settings.service.port)]
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
