"""The installed reference PDS as a process, and what the official library says of a repository."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ServerProcess, clean_environment
from tests.reference.install import copy_scripts, node_program


@dataclass(slots=True, frozen=True)
class VerifiedRepo:
    """A repository that the official library found to be sound."""

    rev: str
    records: dict[str, str]
    """CIDs by `collection/rkey`."""


@dataclass(slots=True, frozen=True)
class Reference:
    """What can be run of the reference."""

    node: Path
    scripts: Path

    @classmethod
    def prepare(cls, installation: Path, scripts: Path) -> Reference:
        """Put the scripts to run into `scripts`, which does not exist yet."""
        copy_scripts(installation, scripts)
        return cls(node_program(installation), scripts)

    def serve(self, env: Mapping[str, str], *, port: int, log_file: Path) -> ServerProcess:
        """Start the server on `port` with the variables `env`, and wait until it answers."""
        settings = {"NODE_ENV": "production", "LOG_ENABLED": "false", **env, "PDS_PORT": str(port)}
        return ServerProcess.launch(
            [str(self.node), str(self.scripts / "serve.mjs")],
            url=f"http://localhost:{port}",
            log_file=log_file,
            env=clean_environment(settings),
        )

    def verify(self, did: str, did_key: str, car: Path) -> VerifiedRepo:
        """Have a CAR file checked. Raises `AssertionError` with what the library says."""
        done = subprocess.run(  # noqa: S603 (our own script)
            [str(self.node), str(self.scripts / "verify.mjs"), did, did_key, str(car)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return VerifiedRepo(**json.loads(done.stdout))
