"""A Python with the server's modules loaded, which becomes `python -m MODULE …` in a blink.

It reads an order a message from the socket that its argument names, and answers each. `spawn` comes
with the three standard files of the new process, and is answered with its pid; `reap` with the
status of one that has ended, or null.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import socket
import sys
from importlib import import_module
from typing import IO, Any

from repo.lexicon import default_lexicons

LARGEST_BYTES = 200_000
_MODULES = (
    "pds.cli.account.create",
    "pds.cli.dev",
    "pds.cli.doctor",
    "pds.cli.readonly",
    "pds.cli.replicate",
    "pds.cli.serve",
    "pds.doctor",
    "pds.replication.supervising.supervisor",
)


def serve(orders: socket.socket) -> dict[str, Any] | None:
    """Fork for every order until there is nobody to give them; in a new process, return it."""
    while True:
        message, files, _, _ = socket.recv_fds(orders, LARGEST_BYTES, 3)
        if not message:
            return None
        order: dict[str, Any] = json.loads(message)
        if "reap" in order:
            pid, status = os.waitpid(order["reap"], os.WNOHANG)
            orders.send(json.dumps(status if pid else None).encode())
            continue
        pid = os.fork()
        if pid == 0:
            orders.close()
            _take_files(files)
            return order
        for file in files:
            os.close(file)
        orders.send(json.dumps(pid).encode())


def _take_files(files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        if file > 2:
            os.close(file)


def _become(order: dict[str, Any]) -> None:
    """Take on the surroundings that the process would have been started with."""
    if order["cwd"] is not None:
        os.chdir(order["cwd"])
    if order["new_session"]:
        os.setsid()
    # A suite that runs in the background of a shell has none, and its children would not either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.stdin, sys.stdout = _text(0, "strict"), _text(1, "strict")
    sys.stderr = _text(2, "backslashreplace")
    sys.argv = [order["module"], *order["args"]]


def _text(file: int, errors: str) -> IO[str]:
    mode = "w" if file else "r"
    at_once = file == 2 or os.isatty(file) or bool(file and os.environ.get("PYTHONUNBUFFERED"))
    buffering = 1 if at_once else -1
    return open(file, mode, buffering=buffering, encoding="utf-8", errors=errors, closefd=False)


if __name__ == "__main__":
    for name in _MODULES:
        import_module(name)
    default_lexicons()
    gc.collect()
    gc.freeze()
    taken = serve(socket.socket(fileno=int(sys.argv[1])))
    if taken is not None:
        _become(taken)
        # As the interpreter does, in the same main thread, and with the same end.
        runpy.run_module(taken["module"], run_name="__main__", alter_sys=True)
