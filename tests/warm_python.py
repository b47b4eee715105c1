"""Processes of Python that have the server's modules loaded from the start.

A `pds` command spends a second on imports, and the suite gives hundreds. Each is a real process
here as well, but a fork of one that has done them: see `warm_python_process`. Whatever depends on
the start of the interpreter, its options or another environment of packages, starts one anew.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, AnyStr

from tests.warm_python_process import LARGEST_BYTES

_ROOT = Path(__file__).resolve().parents[1]
_END_S = 30.0
_OF_INTERPRETERS = ("PYTHON", "LC_", "LANG", "LD_", "SSL_CERT_")
"""How variables begin that an interpreter reads at its start, or aiohttp when it is imported."""


class WarmPython:
    """The process that others are forked from. It starts with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def spawn(self, order: Mapping[str, Any], files: Sequence[int]) -> int:
        """Start a process with three standard files; return its pid."""
        pid = self._ask(order, files)
        assert isinstance(pid, int)
        return pid

    def reap(self, pid: int) -> int | None:
        """Return the status of a process that has ended, as waitpid(2) does, but once only."""
        status = self._ask({"reap": pid}, ())
        assert status is None or isinstance(status, int)
        return status

    def close(self) -> None:
        """End it. Those forked from it go on."""
        if self._process is not None and self._orders is not None:
            self._orders.close()
            self._process.wait(_END_S)
            self._process = self._orders = None

    def _ask(self, order: Mapping[str, Any], files: Sequence[int]) -> object:
        with self._lock:
            if self._orders is None:
                self._orders = self._start()
            socket.send_fds(self._orders, [json.dumps(order).encode()], files)
            return json.loads(self._orders.recv(LARGEST_BYTES))

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (our own)
                [sys.executable, "-m", "tests.warm_python_process", str(theirs.fileno())],
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": str(_ROOT)},
                pass_fds=(theirs.fileno(),),
            )
        return ours


WARM = WarmPython()


def is_alike(env: Mapping[str, str]) -> bool:
    """Whether an interpreter of the environment `env` would be like those that are forked."""
    names = {name for name in (*env, *os.environ) if name.startswith(_OF_INTERPRETERS)}
    names.discard("PYTHONPATH")
    paths = env.get("PYTHONPATH", "").split(os.pathsep)
    return {*paths} <= {"", str(_ROOT)} and all(env.get(n) == os.environ.get(n) for n in names)


def start_python(
    command: Sequence[str], *, env: Mapping[str, str], **options: Any
) -> subprocess.Popen[Any]:
    """`Popen` for `[sys.executable, "-m", MODULE, …]`, from a warm Python if that makes no odds."""
    if list(command[:2]) == [sys.executable, "-m"] and is_alike(env):
        return WarmProcess(command[2:], env=env, **options)
    return subprocess.Popen(command, env=env, **options)  # noqa: S603 (our own)


class WarmProcess(subprocess.Popen[AnyStr]):
    """`Popen([MODULE, *args], env=…)` for `python -m MODULE …`."""

    def _execute_child(self, args: Sequence[str], *rest: Any) -> None:
        # The order of Popen's own, which has it from its constructor.
        cwd, env, new_session = rest[4], rest[5], rest[-2]
        pipes = rest[9:15]
        child_ends = (pipes[0], pipes[3], pipes[5])
        order = {
            "module": args[0],
            "args": args[1:],
            "cwd": None if cwd is None else str(Path(cwd).absolute()),
            "env": dict(env),
            "new_session": new_session,
        }
        files = [number if end == -1 else end for number, end in enumerate(child_ends)]
        self.pid = WARM.spawn(order, files)
        self._pidfd = os.pidfd_open(self.pid)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """What waitpid(2) would tell if the process were a child of this one."""
        now = bool(wait_flags & os.WNOHANG)
        if not select.select([self._pidfd], [], [], 0 if now else None)[0]:
            return 0, 0
        status = WARM.reap(self.pid)
        if status is None:
            return 0, 0
        os.close(self._pidfd)
        return self.pid, status

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        # With a state, it is called by the collector of garbage, anywhere.
        if self.returncode is None and _deadstate is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid == self.pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode
