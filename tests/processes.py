"""Real server processes for tests: free ports, start, wait until ready, stop."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.warm_python import start_python

_ROOT = Path(__file__).resolve().parents[1]
_READY_S = 30.0
_STOP_S = 20.0
_ANY = random.SystemRandom()
"""Tests of properties seed the usual one, so that all would take the same ports."""


def free_port() -> int:
    """A TCP port that nothing listens on just now.

    It is below those that the system gives to outgoing connections, one of which could otherwise
    take it while the server of a test starts anew.
    """
    while True:
        port = _ANY.randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of a server or a terminal, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PDS_") and name != "COLUMNS"
    }
    # Whatever lies in the usual places of this machine.
    return {**kept, "PDS_ENV_FILE": os.devnull, **(extra or {})}


def run_pds(
    *args: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    module: str = "pds",
    timeout_s: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a `pds` command to its end. `module` is `pds`, or one that makes it another."""
    process = start_python(
        [sys.executable, "-m", module, *args],
        env=clean_environment({"PYTHONPATH": str(_ROOT), **(env or {})}),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@dataclass
class ServerProcess:
    """A process that answers `/xrpc/_health` on its URL."""

    url: str
    log_file: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def launch(
        cls,
        command: Sequence[str],
        *,
        url: str,
        log_file: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
    ) -> ServerProcess:
        """Start `command` with nothing but `env`, and wait until it answers."""
        with log_file.open("ab") as log:
            process = start_python(command, env=env, cwd=cwd, stdout=log, stderr=subprocess.STDOUT)
        server = cls(url, log_file, process)
        server._wait_until_ready()
        return server

    def stop(self) -> int:
        """Stop in good order. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_S)

    def kill(self) -> None:
        """End at once, as a crash does. Harmless once it has ended."""
        self.process.kill()
        self.process.wait(_STOP_S)

    def log(self) -> str:
        """What the process has printed so far."""
        return self.log_file.read_text(errors="replace")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended early:\n{self.log()}")
            try:
                with urllib.request.urlopen(f"{self.url}/xrpc/_health", timeout=1):  # noqa: S310
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.kill()
        raise TimeoutError(f"the server was not ready in time:\n{self.log()}")


def serve(
    env: Mapping[str, str], *args: str, port: int, log_file: Path, cwd: Path | None = None
) -> ServerProcess:
    """Start `pds serve` on `port` with the variables `env`, and wait until it answers."""
    return ServerProcess.launch(
        [sys.executable, "-m", "pds", "serve", *args],
        url=f"http://localhost:{port}",
        log_file=log_file,
        env=clean_environment({"PYTHONPATH": str(_ROOT), **env, "PDS_PORT": str(port)}),
        cwd=cwd,
    )


@dataclass
class DevServer:
    """A `pds dev` process on ports of its own."""

    data: Path
    port: int
    plc_port: int
    server: ServerProcess

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.server.process

    @property
    def env_file(self) -> Path:
        return self.data / "dev.env"

    @classmethod
    def start(
        cls,
        data: Path,
        *,
        env: Mapping[str, str] | None = None,
        ports: tuple[int, int] | None = None,
        module: Sequence[str] = ("pds",),
    ) -> DevServer:
        """Start a server and wait until it answers. `ports` are its own and the directory's.

        `module` is `pds`, or one that makes it another, with its arguments.
        """
        port, plc_port = ports or (free_port(), free_port())
        data.mkdir(parents=True, exist_ok=True)
        options = ("--port", str(port), "--plc-port", str(plc_port))
        server = ServerProcess.launch(
            [sys.executable, "-m", *module, "dev", "--data", str(data), *options],
            url=f"http://localhost:{port}",
            log_file=data / "server.log",
            env=clean_environment(env),
        )
        return cls(data, port, plc_port, server)

    def start_again(self) -> DevServer:
        """Start on the same data and ports, after this one has ended."""
        return self.start(self.data, ports=(self.port, self.plc_port))

    def stop(self) -> int:
        """Stop in good order. Returns the exit status."""
        return self.server.stop()

    def kill(self) -> None:
        """End at once, as a crash does."""
        self.server.kill()

    def log(self) -> str:
        """What the process has printed so far."""
        return self.server.log()
