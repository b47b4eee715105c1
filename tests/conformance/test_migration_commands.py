"""The commands of docs/migrate-from-reference.md that compare, typed beside both servers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import ServerProcess, free_port, serve
from tests.reference import data
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "migrate-from-reference.md"


def test_the_check_after_the_move_says_same(reference: Reference, tmp_path: Path) -> None:
    environment = data.environment(data.unpack(tmp_path / "data"))
    note = printed_by(reference.serve, environment, "> before.json", tmp_path)
    assert note == ""
    assert printed_by(serve, environment, "echo same", tmp_path).splitlines()[-1] == "same"


def printed_by(
    start: Callable[..., ServerProcess], environment: dict[str, str], marker: str, cwd: Path
) -> str:
    """What the commands of the block with `marker` print while a server runs."""
    port = free_port()
    server = start(environment, port=port, log_file=cwd / "server.log")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if marker in block)
    # The last command of the check is of an installed server.
    commands = "\n".join(line for line in block.splitlines() if "/opt/" not in line)
    try:
        done = subprocess.run(  # noqa: S603
            ["bash", "-ec", commands.replace("localhost:3000", f"localhost:{port}")],  # noqa: S607
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
