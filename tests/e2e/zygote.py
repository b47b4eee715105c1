"""A process with the server's modules loaded, which becomes a server within milliseconds.

Tests that start dozens of servers would otherwise spend their time on imports. It reads one JSON
object a line (`args` of `pds`, `env`, `log`, `open_files`: the most of them), forks, and answers
with the pid of the new server. With `powerless` root has no more rights than any other user. With
`fault` the server ends at that point of `tests.faults`; with `journal` its disk notes there what is
not durable yet (`tests.e2e.volatile_disk`).
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import struct
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from pds.cli import main
from repo.lexicon import default_lexicons
from tests import faults
from tests.e2e import volatile_disk


def run() -> None:
    """Fork a server for every line until the input ends."""
    import_module("pds.cli.dev")
    default_lexicons()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            become_server(json.loads(line))
        print(pid, flush=True)  # noqa: T201 (the answer)


def become_server(order: dict[str, Any]) -> None:
    """Run a `pds` command as if it had been started from a shell."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if (limit := order.get("open_files")) is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if order["powerless"]:
        drop_capabilities()
    os.environ.clear()
    os.environ.update(order["env"])
    status = 1
    try:
        if (fault := order["fault"]) is not None:
            faults.install(fault)
        if (journal := order["journal"]) is not None:
            volatile_disk.install(Path(journal), delay_s=order["sync_s"])
        main(order["args"], standalone_mode=True)
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 1
    except Exception:  # noqa: BLE001 (there is nobody else to tell)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def drop_capabilities() -> None:
    """Let files of others be closed to this process, root's as it may be. See capset(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    version_3 = struct.pack("Ii", 0x20080522, 0)
    if libc.capset(version_3, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    run()
