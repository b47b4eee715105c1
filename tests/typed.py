"""Commands that messages and documents name, typed as they stand; and Litestream, as documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.processes import clean_environment

ROOT = Path(__file__).resolve().parents[1]
_PROGRAMS = Path(sys.executable).parent
_LITESTREAM = _PROGRAMS / "litestream"


def type_commands(message: str, **environ: str) -> None:
    """Run what stands between backticks, in a shell, as it stands.

    What the message has for those without a backup is not typed.
    """
    commands = re.findall(r"`([^`]+)`", message.partition("Without a backup")[0])
    assert commands, message
    for command in commands:
        done = subprocess.run(  # noqa: S602 (commands of our own messages)
            command,
            shell=True,
            env=clean_environment({"PATH": f"{_PROGRAMS}:{os.environ['PATH']}", **environ}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)


@dataclass(slots=True, frozen=True)
class Replica:
    """What Litestream has sent of a data directory, by the litestream.yml of the documents."""

    data: Path
    place: Path

    @property
    def environ(self) -> dict[str, str]:
        """What stands in litestream.env."""
        return {"LITESTREAM_REPLICA": f"file://{self.place}"}

    def send(self) -> None:
        """Let Litestream replicate all that is there, whether the server runs or not."""
        subprocess.run(  # noqa: S603
            [_LITESTREAM, "replicate", "-once", "-config", ROOT / "deploy" / "litestream.yml"],
            env=clean_environment({**self.environ, "PDS_DATA_DIRECTORY": str(self.data)}),
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
