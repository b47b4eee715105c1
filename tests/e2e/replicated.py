"""A server that is replicated by a real `pds replicate`, and restored by a real `pds restore`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from actor_store.layout import ActorLayout
from database.opening import open_database
from pds.replication.status import ReplicationStatus, read_status
from tests.e2e.forked import WatchedProcess, Zygote
from tests.e2e.promises import NOTE, Person
from tests.e2e.world import World
from tests.processes import clean_environment, run_pds
from tests.seaweedfs import SeaweedFs
from tests.typed import ROOT
from tests.warm_python import start_python

LEFT_TO_LITESTREAM = {"PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT": "true"}
"""What the server of a `Replicated` has to be started with."""
PASSPHRASE = "correct horse battery staple"
WITHIN_S = 60.0
_LOOKED_S = 1.5
"""After this time, the service databases have been looked at again."""
_END_S = 40.0
_COMMAND_S = 300.0


class AllIsCopied:
    """Tells by the statuses to come whether the replica has all that was written before."""

    def __init__(self, last: ReplicationStatus | None) -> None:
        """`last` is the status of now, if there is one."""
        self._last = last
        self._since_s = time.monotonic()

    def __call__(self, status: ReplicationStatus) -> bool:
        last = self._last
        before = 0 if last is None or last.pid != status.pid else last.totals.sweeps
        return (
            status.state == "running"
            # One may have ended after the last status, and another may have begun.
            and status.totals.sweeps > before + 2
            and time.monotonic() - self._since_s > _LOOKED_S
            and not status.actors.dirty
            and status.actors.known > 0
            and status.copies.error is None
            and not status.copies.blobs_waiting
            and all(not database.lag_s for database in status.databases)
        )


@dataclass(slots=True)
class Replicated:
    """A world whose server is replicated to `url`. Who starts a supervisor ends it."""

    world: World
    url: str
    zygote: Zygote
    env: dict[str, str] = field(default_factory=dict)
    """Variables of `pds replicate` and `pds restore`."""
    supervisor: WatchedProcess | None = None

    @classmethod
    def in_directory(cls, world: World, zygote: Zygote, directory: Path) -> Replicated:
        """One with its replica in a directory, which is made."""
        directory.mkdir()
        return cls(world, f"file://{directory}", zygote)

    @classmethod
    async def in_bucket(cls, world: World, zygote: Zygote, seaweedfs: SeaweedFs) -> Replicated:
        """One with its replica in a bucket."""
        bucket = (await seaweedfs.create_bucket()).bucket
        return cls(world, seaweedfs.replica_url(bucket), zygote, seaweedfs.credentials)

    @property
    def data(self) -> Path:
        """The data directory of the server."""
        return self.world.server.data

    @property
    def log_file(self) -> Path:
        """What the supervisor prints."""
        return self.data.with_name("replicate.log")

    @property
    def environ(self) -> dict[str, str]:
        """The variables of a command."""
        return {
            "PDS_ENV_FILE": str(self.data / "dev.env"),
            "PDS_REPLICATION_KEY_PASSPHRASE": PASSPHRASE,
            "PDS_REPLICATION_SWEEP_INTERVAL": "1000",
            "LOG_LEVEL": "info",
            **self.env,
        }

    def start(self, *, powerless: bool = False, **env: str) -> None:
        """Start the supervisor, which `until` waits for; see `Zygote.fork`."""
        self._forget_status()
        pid = self.zygote.fork(
            ["replicate", "--to", self.url],
            env={**self.environ, **env},
            log=self.log_file,
            powerless=powerless,
        )
        self.supervisor = WatchedProcess(pid)

    def start_by(self, module: str, *args: str) -> None:
        """Start a supervisor by a module of tests that makes it another, and its arguments."""
        self._forget_status()
        with self.log_file.open("ab") as log:
            child = start_python(
                [sys.executable, "-m", module, *args, "replicate", "--to", self.url],
                env=clean_environment({**self.environ, "PYTHONPATH": str(ROOT)}),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.supervisor = WatchedProcess(child.pid, child)

    def status(self) -> ReplicationStatus | None:
        """What it says of itself."""
        return read_status(self.data / "replication.json")

    async def until(
        self, holds: Callable[[ReplicationStatus], bool], *, within_s: float = WITHIN_S
    ) -> ReplicationStatus:
        """Wait for a status."""
        deadline = time.monotonic() + within_s
        while True:
            status = self.status()
            if status is not None and holds(status):
                return status
            assert time.monotonic() < deadline, (status, self.log())
            assert not self.has_ended(0), (status, self.log())
            await asyncio.sleep(0.05)

    async def until_all_is_copied(self) -> ReplicationStatus:
        """Wait until a look at everything has found nothing that the replica lacks."""
        return await self.until(AllIsCopied(self.status()))

    def kill(self) -> None:
        """End the supervisor at once, as a crash does; its daemons end with it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the supervisor in good order."""
        self._end(signal.SIGTERM)

    def has_ended(self, timeout_s: float = _END_S) -> bool:
        """Whether the supervisor ends in time."""
        return self.supervisor is None or self.supervisor.has_ended(timeout_s)

    def log(self) -> str:
        """What every supervisor has printed."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a `pds` command to its end."""
        return run_pds(*args, env={**self.environ, **env}, timeout_s=_COMMAND_S)

    def run_elsewhere(self, directory: Path, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command in an environment that has no programs but a Python."""
        python = directory / "python"
        python.symlink_to(Path(sys.executable).resolve())
        packages = [path for path in sys.path if path.endswith("site-packages")]
        path = os.pathsep.join([str(ROOT), *packages])
        return subprocess.run(  # noqa: S603 (our own program)
            [python, "-m", "pds", *args],
            env=clean_environment({**self.environ, "PYTHONPATH": path, "PATH": "/nonexistent"}),
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )

    def restore(self, to: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Restore the replica to a directory."""
        return self.run("restore", "--from", self.url, "--to", str(to), *args, **env)

    def _end(self, number: signal.Signals) -> None:
        if self.supervisor is not None:
            self.supervisor.send(number)
            assert self.has_ended(), self.log()

    def _forget_status(self) -> None:
        """Remove what an earlier supervisor has said of itself."""
        (self.data / "replication.json").unlink(missing_ok=True)


async def write_with_blob(world: World, person: Person, rkey: str, data: bytes) -> None:
    """Upload a blob, and create a note that refers to it."""
    url = f"{world.server.url}/xrpc/com.atproto.repo.uploadBlob"
    headers = {**person.auth, "Content-Type": "image/png"}
    async with world.http.post(url, headers=headers, data=data) as response:
        assert response.status == 200
        blob = (await response.json())["blob"]
    await world.create(person, rkey, image=blob)


async def check_restored(replicated: Replicated) -> None:
    """All that the server has comes back from the replica."""
    to = replicated.data.with_name("restored")
    done = await asyncio.to_thread(replicated.restore, to)
    assert done.returncode == 0, done
    assert records_in(to) == records_in(replicated.data)
    assert keys_in(to) == keys_in(replicated.data)
    assert blobs_in(to) == blobs_in(replicated.data)
    assert "Traceback" not in replicated.log()


def records_in(data: Path) -> dict[str, set[str]]:
    """The keys of the notes that each actor in a data directory has, by DID."""
    layout = ActorLayout(data / "actors")
    return {did: _records_of(layout.store(did)) for did in layout.iter_dids()}


def keys_in(data: Path) -> dict[str, bytes]:
    """The signing keys of the actors in a data directory."""
    layout = ActorLayout(data / "actors")
    return {did: layout.key(did).read_bytes() for did in layout.iter_dids()}


def blobs_in(data: Path) -> Mapping[str, bytes]:
    """The blobs in a data directory, by their names below it."""
    found = (path for path in data.glob("bl*/did:*/*") if path.is_file())
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in found}


def _records_of(store: Path) -> set[str]:
    with closing(open_database(store, create=False, read_only=True)) as db:
        rows = db.all("SELECT rkey FROM record WHERE collection = ?", (NOTE,))
        return {rkey for (rkey,) in rows}
