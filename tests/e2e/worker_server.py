"""`pds serve` with workers, and its processes, any of which a test may end or stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.process_tree import forkers_of, workers_of
from tests.e2e.replicating_server import ReplicatingServer
from tests.processes import ServerProcess, free_port, serve

_DEADLINE_S = 200.0


@dataclass
class WorkerServer:
    """A server with its own data directory, in the PLC network of another."""

    directory: Path
    plc_url: str
    workers: int
    more: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    server: ServerProcess | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.directory / "server.log"

    @property
    def environ(self) -> dict[str, str]:
        more = {
            "PDS_WORKERS": str(self.workers),
            "PDS_SERVICE_HANDLE_DOMAINS": ".test",
            "LOG_LEVEL": "info",
            **self.more,
        }
        usual = ReplicatingServer(self.directory, self.plc_url, "", more, port=self.port)
        return usual.environ

    def start(self, *options: str) -> None:
        """Start it, and wait until it answers."""
        self.server = serve(self.environ, *options, port=self.port, log_file=self.log_file)
        self.until(lambda: self.lines("ready") > 0)

    def take_over(self) -> ServerProcess:
        """Start another that takes its place; return the old one once the new is ready."""
        old, ready = self.server, self.lines("ready")
        assert old is not None
        self.server = serve(self.environ, "--take-over", port=self.port, log_file=self.log_file)
        self.until(lambda: self.lines("ready") > ready)
        return old

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def lines(self, event: str) -> int:
        """How often the log tells of an event."""
        return self.log().count(f'"event":"{event}')

    def stop(self) -> None:
        """Stop it in order."""
        assert self.server is not None
        assert self.server.stop() == 0, self.log()

    def kill(self) -> None:
        """End the first process at once."""
        if self.server is not None:
            self.server.kill()

    @property
    def first(self) -> int:
        """The pid of the first process."""
        assert self.server is not None
        return self.server.process.pid

    def worker_pids(self) -> list[int]:
        """The workers that run."""
        return workers_of(self.first)

    def processes(self) -> list[int]:
        """The first process, that which workers are forked from, and the workers."""
        return [self.first, *forkers_of(self.first), *self.worker_pids()]

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + _DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, self.log()[-5_000:]
            time.sleep(0.02)
