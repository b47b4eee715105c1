"""`pds serve` with Litestream beside it, by the top-level litestream.yml, as two processes."""

from __future__ import annotations

import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pds.dev.environment import dev_environment, keep_dev_environment
from pds.replication.replica import names
from tests.pds.replication.real_litestream import start_plainly, try_to_restore
from tests.processes import DevServer, ServerProcess, free_port, serve

SERVICES: Final = ("account.sqlite", "sequencer.sqlite", "did_cache.sqlite")
_WAL_HEADER: Final = struct.Struct(">4I")
_ENDED_S: Final = 30.0


@dataclass(slots=True, frozen=True)
class Destination:
    """A place of replicas, as the variables of litestream.env name it."""

    url: str
    options: str
    credentials: Mapping[str, str]

    def of(self, name: str) -> str:
        """The URL of a database."""
        return f"{self.url}/{name}{self.options}"

    @property
    def environ(self) -> dict[str, str]:
        """What stands in litestream.env."""
        return {
            "LITESTREAM_REPLICA": self.url,
            "LITESTREAM_REPLICA_OPTIONS": self.options,
            **self.credentials,
        }


@dataclass
class Replicated:
    """A server that leaves checkpoints to Litestream, and Litestream."""

    data: Path
    variables: dict[str, str]
    server: ServerProcess
    litestream: subprocess.Popen[bytes]
    destination: Destination

    @property
    def url(self) -> str:
        """Where the server answers."""
        return self.server.url

    @property
    def litestream_log(self) -> str:
        """What Litestream has printed so far."""
        return (self.data.parent / "litestream.log").read_text()

    def wals(self) -> dict[Path, int]:
        """The size of each WAL."""
        return {path: path.stat().st_size for path in self.data.rglob("*.sqlite-wal")}

    def kill(self) -> None:
        """End both at once, as a power failure does."""
        self.litestream.kill()
        self.server.kill()
        self.litestream.wait(_ENDED_S)

    def restore(self, name: str, to: Path, *, check: bool = True) -> bool:
        """Restore one database with Litestream; return whether there was one."""
        done = try_to_restore(
            self.destination.of(name),
            to,
            *("-integrity-check", "full"),
            environ=self.destination.environ,
        )
        assert done.returncode == 0 or not check, (name, done.stderr)
        return done.returncode == 0

    def restore_all(self, dids: list[str], to: Path) -> dict[str, str]:
        """Restore everything into `to`; return the variables of a server there.

        Keys and blobs come from the old directory, as from the copies that cron makes.
        """
        shutil.copytree(self.data, to, ignore=shutil.ignore_patterns("*.sqlite*", ".*-litestream"))
        for name in (*SERVICES, *map(names.actor_database, dids)):
            self.restore(name, to / name)
        return {
            name: value.replace(str(self.data), str(to)) for name, value in self.variables.items()
        }


def checkpoints(wal: Path) -> int:
    """How often a WAL was begun anew after a checkpoint."""
    with wal.open("rb") as file:
        _, _, _, count = _WAL_HEADER.unpack(file.read(_WAL_HEADER.size))
    return int(count)


@contextmanager
def replicated(directory: Path, plc: DevServer, destination: Destination) -> Iterator[Replicated]:
    """A new server with Litestream beside it."""
    data = directory / "pds"
    data.mkdir()
    variables = dev_environment(
        data,
        host="127.0.0.1",
        port=free_port(),
        plc_port=plc.plc_port,
        environ={"PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT": "true", "LOG_LEVEL": "info"},
    )
    keep_dev_environment(data, variables)
    port = int(variables["PDS_PORT"])
    server = serve(variables, port=port, log_file=directory / "serve.log")
    litestream = start_plainly(data, destination.environ, directory / "litestream.log")
    both = Replicated(data, variables, server, litestream, destination)
    try:
        yield both
    finally:
        litestream.send_signal(signal.SIGCONT)
        both.kill()
