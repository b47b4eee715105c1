"""The commands of docs/operating.md, typed as they stand there but for paths and hosts."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pds.config.env_file import read_env_file
from tests.e2e.world import World
from tests.processes import clean_environment
from tests.test_documents import fences, section
from tests.typed import ROOT, Replica

DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
_PROGRAMS = Path(sys.executable).parent
_RSYNC = """#!/bin/sh
# The other machine is a directory of this one.
cp -R "${2#backup:}." "$3"
"""


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


def block_with(heading: str, marker: str, language: str = r"\w*") -> str:
    """The code block of a section that has `marker`."""
    (block,) = (text for text in fences(section(DOCUMENT, heading), language) if marker in text)
    return block


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs sqlite3")
async def test_the_restore_goes_on_past_an_account_without_a_replica_and_lists_it(
    world: World, tmp_path: Path
) -> None:
    data = world.server.data
    world.start()
    await world.create(world.alice, "second")
    await world.watcher.catch_up()
    world.server.stop()
    replica = Replica(data, tmp_path / "replica")
    replica.send()
    bobs = world.store_of(world.bob)
    shutil.rmtree(tmp_path / "replica" / bobs.relative_to(data))
    copies = shutil.copytree(
        data,
        tmp_path / "backup" / "pds",
        ignore=lambda _, names: [name for name in names if ".sqlite" in name],
    )
    (copies / "blocks").mkdir()
    kept = [path.name for path in data.glob("*") if path.name not in ("dev.env", "plc.sqlite")]
    for name in kept:
        path = data / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    environ = "".join(f"{name}='{value}'\n" for name, value in replica.environ.items())
    (tmp_path / "litestream.env").write_text(environ)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "rsync").write_text(_RSYNC)
    (tmp_path / "programs" / "rsync").chmod(0o755)
    script = block_with("Restore", "accounts.txt")
    for place, here in {
        "/etc/holdfast/litestream.env": str(tmp_path / "litestream.env"),
        "cd /pds": f"cd {data}",
        "holdfast: /pds": f"{getpass.getuser()}: {data}",
        "backup:pds": f"backup:{copies}",
    }.items():
        assert place in script
        script = script.replace(place, here)
    printed = shell(script, cwd=tmp_path, path=f"{tmp_path / 'programs'}:")
    assert printed.splitlines()[-2:] == ["Without a replica:", world.bob.did]
    world.start()
    await world.create(world.alice, "third")
    assert (await world.try_to_create(world.bob, "refused"))[0] == 503
    await world.watcher.catch_up()
    assert await world.records(world.alice) == {"first", "second", "third"}


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


def test_litestream_runs_as_the_user_that_can_read_its_file() -> None:
    unit = (ROOT / "deploy" / "systemd" / "litestream.service").read_text()
    assert "\nUser=holdfast\n" in unit
    assert "chown holdfast: /etc/holdfast/litestream.env\n" in DOCUMENT


def test_every_command_names_the_settings_where_the_installation_puts_them() -> None:
    assert set(re.findall(r"--env-file (/[\w./]+)", DOCUMENT)) == {"/etc/holdfast/pds.env"}
