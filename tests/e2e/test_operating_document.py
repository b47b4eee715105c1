"""The commands of docs/operating.md, typed as they stand there but for paths and hosts."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from pds.config.env_file import read_env_file
from tests.processes import clean_environment
from tests.test_documents import fences, section
from tests.typed import ROOT, Replica

DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
_PROGRAMS = Path(sys.executable).parent


def shell(script: str, *, cwd: Path, path: str = "") -> str:
    """Run a script to its success, and return what it prints."""
    done = subprocess.run(  # noqa: S603
        ["bash", "-c", script],  # noqa: S607
        cwd=cwd,
        env=clean_environment({"PATH": f"{path}{_PROGRAMS}:{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def block_with(
    heading: str, marker: str, language: str = r"\w*", *, document: str = DOCUMENT
) -> str:
    """The code block of a section that has `marker`."""
    (block,) = (text for text in fences(section(document, heading), language) if marker in text)
    return block


def test_a_shell_reads_the_examples_of_settings_as_the_server_does(tmp_path: Path) -> None:
    file = tmp_path / "pds.env"
    file.write_text(block_with("Mail", "PDS_EMAIL_SMTP_URL="))
    read = read_env_file(file)
    assert "PDS_EMAIL_SMTP_URL" in read
    printed = shell(f"set -eu -a; . {file}; env --null", cwd=tmp_path)
    assert read.items() <= dict(line.partition("=")[::2] for line in printed.split("\0")).items()


def test_an_upgrade_brings_every_program_that_the_installation_brings() -> None:
    (installed,) = re.findall(r"pip install '\.(\[\w+\])'", block_with("Install", "pip install"))
    upgrade = block_with("Upgrade and rollback", "pip wheel")
    assert f"--wheel-dir /opt/holdfast-wheels '.{installed}'" in upgrade
    assert f"--find-links /opt/holdfast-wheels 'holdfast-pds{installed}'" in upgrade


def test_the_database_of_a_hold_is_replicated_where_there_is_one(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "data", tmp_path / "replica")
    (replica.data / "actors").mkdir(parents=True)
    for name in ("account.sqlite", "sequencer.sqlite", "did_cache.sqlite"):
        make_database(replica.data / name)
    replica.send()
    assert not (replica.place / "hold.sqlite").exists()
    make_database(replica.data / "hold.sqlite")
    replica.send()
    assert any((replica.place / "hold.sqlite").rglob("*.ltx"))


def make_database(path: Path) -> None:
    """Make a small database in WAL mode, as Litestream wants it."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE number (value INTEGER)")
        db.commit()


def test_every_command_names_the_settings_where_the_installation_puts_them() -> None:
    assert set(re.findall(r"--env-file (/[\w./]+)", DOCUMENT)) == {"/etc/holdfast/pds.env"}
