"""Servers forked from a zygote: real processes that can be killed and started in a blink."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.processes import clean_environment
from tests.typed import ROOT

_READY_S = 30.0
_END_S = 30.0


@dataclass(slots=True)
class Zygote:
    """The process that servers are forked from."""

    process: subprocess.Popen[str]

    def fork(
        self,
        args: list[str],
        *,
        env: Mapping[str, str],
        log: Path,
        open_files: int | None = None,
        powerless: bool = False,
        fault: str | None = None,
        journal: Path | None = None,
        sync_s: float = 0.0,
    ) -> int:
        """Run a `pds` command in a new process, and return its pid.

        `open_files` is its limit of open files, soft and hard. `powerless` takes from
        root what other users have not. `fault` is the point at which the process ends. `journal`
        is what its disk notes there, which takes `sync_s` for a sync.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {
            "args": args,
            "env": clean_environment(env),
            "log": str(log),
            "open_files": open_files,
            "powerless": powerless,
            "fault": fault,
            "journal": None if journal is None else str(journal),
            "sync_s": sync_s,
        }
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def zygote() -> Iterator[Zygote]:
    """A zygote for as long as the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.zygote"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=clean_environment(),
    )
    try:
        yield Zygote(process)
    finally:
        process.communicate(timeout=_END_S)


class WatchedProcess:
    """A process, our child or not, that can be ended and waited for."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            # It has ended so soon that the one who forked it has forgotten it.
            self._pidfd = -1

    def send(self, number: signal.Signals) -> None:
        """Send a signal. Harmless once it has ended."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def has_ended(self, timeout_s: float = 0.0) -> bool:
        """Whether it ends in time."""
        if self._pidfd < 0:
            return True
        if not select.select([self._pidfd], [], [], timeout_s)[0]:
            return False
        os.close(self._pidfd)
        self._pidfd = -1
        if self._child is not None:
            self._child.wait()
        return True


@dataclass(slots=True)
class ForkedServer:
    """A `pds dev` process. Its data may be used by one after the other."""

    zygote: Zygote
    data: Path
    port: int
    plc_port: int
    open_files: int | None = None
    """The limit of open files, soft and hard; None leaves it as it is."""
    powerless: bool = False
    """Whether it has no rights over the files of others even if root runs it."""
    journal: Path | None = None
    """Where its disk notes what is not durable yet; None for a disk that forgets nothing."""
    sync_s: float = 0.0
    """How long such a disk takes for a sync."""
    workers: int = 1
    process: WatchedProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def plc_url(self) -> str:
        return f"http://127.0.0.1:{self.plc_port}"

    @property
    def log_file(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def start(self, *, fault: str | None = None, **env: str) -> None:
        """Start with `env` and wait until requests are answered."""
        pid = self.launch(fault=fault, **env)
        deadline = time.monotonic() + _READY_S
        while not self.listens():
            if self.wait_ended(0.01):
                raise RuntimeError(f"server {pid} ended early:\n{self.log()}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"server {pid} was not ready in time:\n{self.log()}")

    def launch(self, *, fault: str | None = None, **env: str) -> int:
        """Start with `env`, wait for nothing, and return the pid. See `Zygote.fork`."""
        ports = ["--port", str(self.port), "--plc-port", str(self.plc_port)]
        pid = self.zygote.fork(
            ["dev", "--data", str(self.data), *ports],
            env={"PDS_WORKERS": str(self.workers), **env},
            log=self.log_file,
            open_files=self.open_files,
            powerless=self.powerless,
            fault=fault,
            journal=self.journal,
            sync_s=self.sync_s,
        )
        self.process = WatchedProcess(pid)
        return pid

    def kill(self) -> None:
        """End at once, as a crash does."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Stop in good order."""
        self._signal(signal.SIGTERM)

    def wait_ended(self, timeout_s: float = _END_S) -> bool:
        """Whether the process ends in time. Harmless once it has."""
        return self.process is None or self.process.has_ended(timeout_s)

    def log(self) -> str:
        """What every process on this data has printed."""
        return self.log_file.read_text(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send(number)
            assert self.wait_ended(), f"the server did not end:\n{self.log()}"

    def listens(self) -> bool:
        """Whether connections to its port are taken."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
