"""Without the extra `replication`: what needs it says what to install; the rest works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pds.config.env_file import read_env_file
from tests.pds.cli.conftest import OperatedServer
from tests.processes import clean_environment

_INSTALL = "holdfast-pds[replication]"
_BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("asyncssh", "fastcrc", "lz4", "pyrage"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from pds.cli import main
main(sys.argv[1:])
"""


def run(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a Python that lacks the libraries of the extra."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", _BARE, *args],
        env=clean_environment({"PYTHONPATH": ":".join(sys.path), **(env or {})}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--help"),
        ("replicate", "--help"),
        ("replicate", "verify", "--help"),
        ("restore", "--help"),
    ],
    ids=" ".join,
)
def test_every_command_can_be_asked_for_its_help(words: tuple[str, ...]) -> None:
    assert run(*words).returncode == 0


def test_a_server_that_is_not_replicated_misses_nothing(stopped: OperatedServer) -> None:
    done = run("account", "list", "--env-file", str(stopped.server.env_file))
    assert (done.returncode, "alice.test" in done.stdout) == (0, True), done.stderr


def test_a_restore_says_what_to_install(replica: Path, tmp_path: Path) -> None:
    done = run("restore", "--from", f"file://{replica}", "--to", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith("Error: ")
    assert _INSTALL in done.stderr


def test_replication_says_what_to_install(stopped: OperatedServer, tmp_path: Path) -> None:
    (tmp_path / "replica").mkdir()
    (tmp_path / "data").mkdir()
    env = {
        **read_env_file(stopped.server.env_file),
        "PDS_DATA_DIRECTORY": str(tmp_path / "data"),
        "PDS_REPLICATION_KEY_PASSPHRASE": "f3a9c41b7d20e865",
        "PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT": "true",
    }
    done = run("replicate", "--to", f"file://{tmp_path / 'replica'}", env=env)
    assert (done.returncode, _INSTALL in done.stderr) == (1, True), done.stderr
    status = run("replicate", "status", env={**env, "PDS_REPLICATION_URL": "file:///x"})
    assert (status.returncode, _INSTALL in status.stdout) == (1, True), status.stdout
