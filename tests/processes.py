"""Real server processes for tests: free ports, start, wait until ready, stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_READY_S = 30.0
_STOP_S = 20.0


def free_port() -> int:
    """A TCP port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of a server, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PDS_")}
    return {**kept, **(extra or {})}


def run_pds(*args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a `pds` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pds", *args],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class DevServer:
    """A `pds dev` process on ports of its own."""

    data: Path
    port: int
    plc_port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def env_file(self) -> Path:
        return self.data / "dev.env"

    @classmethod
    def start(cls, data: Path, *, env: Mapping[str, str] | None = None) -> DevServer:
        """Start a server and wait until it answers."""
        port, plc_port = free_port(), free_port()
        data.mkdir(parents=True, exist_ok=True)
        with (data / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pds", "dev", "--data", str(data)]
                + ["--port", str(port), "--plc-port", str(plc_port)],
                env=clean_environment(env),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = cls(data, port, plc_port, process)
        server._wait_until_ready()
        return server

    def stop(self) -> int:
        """Stop in good order. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_S)

    def kill(self) -> None:
        """End at once, as a crash does."""
        self.process.kill()
        self.process.wait(_STOP_S)

    def log(self) -> str:
        """What the process has printed so far."""
        return (self.data / "server.log").read_text(errors="replace")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"pds dev ended early:\n{self.log()}")
            try:
                with urllib.request.urlopen(f"{self.url}/xrpc/_health", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.kill()
        raise TimeoutError(f"pds dev was not ready in time:\n{self.log()}")
