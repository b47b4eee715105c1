"""docs/operating.md, Upgrade and rollback: its commands, typed as they stand.

Paths are those of a temporary directory; `systemctl` starts and stops a real server, and what
installs a program copies one. That pip does what it says there is pip's own affair.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import clean_environment, free_port

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "operating.md"

_SYSTEMCTL = """#!/bin/sh
# systemctl VERB holdfast
case "$1" in
  start)
    "{root}/opt/holdfast/bin/pds" dev --data "{root}/pds" --port {port} --plc-port {plc_port} \\
      >> "{root}/log" 2>&1 &
    echo $! > "{root}/pid"
    tries=0
    until curl --silent --output /dev/null http://localhost:{port}/xrpc/_health; do
      tries=$((tries + 1)); test $tries -lt 300 || exit 1; sleep 0.1
    done ;;
  stop)
    pid=$(cat "{root}/pid"); kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done ;;
esac
"""
_PDS = """#!/bin/sh
PYTHONPATH="{source}" exec "{python}" -m pds "$@"
"""
_SUDO = """#!/bin/sh
# sudo -u USER COMMAND
shift 2
exec "$@"
"""
_PYTHON = """#!/bin/sh
# python3 -m venv DIRECTORY
mkdir "$3" && cp -r "{root}/program/." "$3"
"""
_PIP = """#!/bin/sh
exit 0
"""


class Machine:
    """A machine with a server that is installed as the document says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port, plc_port = free_port(), free_port()
        for directory in ("opt/holdfast/bin", "program/bin", "commands", "backups"):
            (root / directory).mkdir(parents=True)
        scripts = {"commands/systemctl": _SYSTEMCTL, "commands/sudo": _SUDO}
        scripts["commands/python3"] = _PYTHON
        for place in ("opt/holdfast", "program"):
            scripts[f"{place}/bin/pds"], scripts[f"{place}/bin/pip"] = _PDS, _PIP
        values = {"port": self.port, "plc_port": plc_port, "source": ROOT, "python": sys.executable}
        for name, text in scripts.items():
            (root / name).write_text(text.format(root=root, **values))
            (root / name).chmod(0o755)

    def type(self, block: str) -> str:
        """Run a block of the document; return what it prints."""
        moved = re.sub(r"(?<![\w.])/(opt|pds|var/backups|etc/holdfast)\b", self._place, block)
        done = subprocess.run(  # noqa: S603 (our own document)
            ["/bin/sh", "-e", "-c", moved.replace("localhost:3000", f"localhost:{self.port}")],
            env={
                **clean_environment(),
                "PATH": f"{self.root}/commands:{os.environ['PATH']}",
            },
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        log = self.root / "log"
        assert done.returncode == 0, (done.stdout, log.read_text() if log.exists() else "")
        return done.stdout

    def call(self, nsid: str, **body: str) -> Any:
        request = urllib.request.Request(
            f"http://localhost:{self.port}/xrpc/{nsid}",
            data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json"} if body else {},
        )
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            return json.load(response)

    def sign_up(self, name: str) -> None:
        body = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": "pw"}
        self.call("com.atproto.server.createAccount", **body)

    def accounts(self) -> int:
        return len(self.call("com.atproto.sync.listRepos")["repos"])

    def _place(self, found: re.Match[str]) -> str:
        # `pds dev` has its settings beside its data.
        places = {"var/backups": "backups", "etc/holdfast": "pds"}
        return f"{self.root}/{places.get(found[1], found[1])}"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    machine.type("systemctl start holdfast")
    # What the document calls pds.env.
    (tmp_path / "pds" / "pds.env").symlink_to("dev.env")
    yield machine
    machine.type("systemctl stop holdfast")


def test_an_upgrade_and_both_ways_back_work_when_typed(machine: Machine) -> None:
    text = DOCUMENT.read_text()
    _, _, section = text.partition("\n## Upgrade and rollback\n")
    blocks = re.findall(r"^```sh\n(.*?)^```$", section.split("\n## ")[0], re.MULTILINE | re.DOTALL)
    upgrade, program_back, data_back = blocks
    machine.sign_up("before")
    printed = machine.type(upgrade)
    assert printed.count("Nothing is wrong") == 2
    assert json.loads(printed.splitlines()[-1])["version"]
    assert (machine.root / "opt/holdfast-before/bin/pds").exists()
    machine.sign_up("after")
    assert "Nothing is wrong" in machine.type(program_back)
    assert not (machine.root / "opt/holdfast-before").exists()
    assert machine.accounts() == 2
    assert "Nothing is wrong" in machine.type(data_back)
    assert machine.accounts() == 1
    machine.sign_up("once-more")
