"""`pds replicate` and `pds standby` as processes of their own, beside a server of a `World`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.replicated import PASSPHRASE
from tests.e2e.world import ENVIRON
from tests.processes import clean_environment, run_pds
from tests.typed import ROOT
from tests.warm_python import start_python

_PDS = "tests.e2e.quick_leases"
_WITHIN_S = 60.0
_END_S = 60.0


@dataclass(slots=True)
class Command:
    """A `pds` command that runs."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def kill(self) -> None:
        """End it as a power cut does. Harmless once it has ended."""
        self.process.kill()
        self.process.wait(_END_S)

    def stop(self) -> int:
        """End it in good order. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_END_S)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


@dataclass(slots=True)
class Pair:
    """The directory of a server, its replica, and the directory of its standby."""

    data: Path
    replica: Path
    standby: Path

    @property
    def env(self) -> Mapping[str, str]:
        return {
            **ENVIRON,
            "PYTHONPATH": str(ROOT),
            "PDS_REPLICATION_URL": f"file://{self.replica}",
            "PDS_REPLICATION_KEY_PASSPHRASE": PASSPHRASE,
            "PDS_REPLICATION_SWEEP_INTERVAL": "1000",
        }

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with the settings of the server."""
        return run_pds(*args, "--env-file", str(self.data / "dev.env"), env=self.env, module=_PDS)

    @contextmanager
    def replicating(self) -> Iterator[Command]:
        """`pds replicate` within a block."""
        with self._running("replicate") as command:
            yield command

    @contextmanager
    def following(self) -> Iterator[Command]:
        """`pds standby` within a block."""
        with self._running("standby", "--to", str(self.standby)) as command:
            yield command

    def status(self, of: str) -> dict[str, Any]:
        """What `pds standby status --json` or `pds replicate status --json` tells."""
        if of == "standby":
            done = run_pds("standby", "status", str(self.standby), "--json", env=self.env)
        else:
            done = self.run(of, "status", "--json")
        found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return found

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + _WITHIN_S
        while not await asyncio.to_thread(holds):
            assert time.monotonic() < deadline, self.file("standby.json")
            await asyncio.sleep(0.05)

    async def until_joined(self) -> None:
        """Wait until the replica is one."""
        await self.until((self.replica / "manifest.json").exists)

    async def until_followed(self) -> None:
        """Wait until the standby has everything that was written before the call."""
        began_s = time.time()

        def is_sent() -> bool:
            found = self.file("replication.json")
            # Changes are noticed within a quarter of a second.
            is_new = found.get("written_s", 0) > began_s + 1.5
            actors, databases = found.get("actors", {}), found.get("databases", [])
            lags = [one["lag_s"] for one in databases]
            return is_new and not actors.get("dirty") and not any(lags)

        def has_all() -> bool:
            caught_up_s = self.file("standby.json").get("caught_up_s") or 0
            return bool(caught_up_s > sent_s + 2.5)

        await self.until(is_sent)
        sent_s = time.time()
        await self.until(has_all)

    def file(self, name: str) -> dict[str, Any]:
        """A status file, if it is there."""
        directory = self.data if name == "replication.json" else self.standby
        with suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((directory / name).read_text())
            return found
        return {}

    @contextmanager
    def _running(self, *args: str) -> Iterator[Command]:
        log_file = self.replica.parent / f"{args[0]}.log"
        command = [sys.executable, "-m", _PDS, *args, "--env-file", str(self.data / "dev.env")]
        with log_file.open("ab") as log:
            process = start_python(
                command, env=clean_environment(self.env), stdout=log, stderr=subprocess.STDOUT
            )
        made = Command(process, log_file)
        try:
            yield made
        finally:
            made.kill()


def kill_litestream_of(pid: int) -> None:
    """Kill the daemons of a supervisor, as the loss of its machine does."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)
