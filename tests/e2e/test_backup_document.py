"""The commands of docs/backup.md, typed as they stand there but for paths, hosts and users."""

from __future__ import annotations

import getpass
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.replicating_server import ReplicatingServer
from tests.e2e.test_operating_document import block_with, shell
from tests.e2e.world import World
from tests.typed import ROOT, Replica

DOCUMENT = (ROOT / "docs" / "backup.md").read_text()
_RSYNC = """#!/bin/sh
# The other machine is a directory of this one.
cp -R "${2#backup:}." "$3"
"""


def block_of(heading: str, marker: str) -> str:
    """The code block of a section that has `marker`."""
    return block_with(heading, marker, document=DOCUMENT)


def typed(script: str, places: Mapping[str, str]) -> str:
    """A script of the document on this machine, without what only root or systemd can do."""
    lines = [line for line in script.splitlines() if not line.startswith(("systemctl", "install"))]
    script = "\n".join(lines).replace("sudo -u holdfast ", "") + "\n"
    assert [place for place in places if place not in script] == []
    # Longer ones first, and each text once: a path may be part of another.
    names = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    return re.sub(rf"(?:{names})(?![\w.])", lambda found: places[found[0]], script)


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
    shutil.copy(data / "dev.env", tmp_path / "pds.env")
    # What is only of `pds dev`, and not in a data directory elsewhere.
    kept = [shutil.move(path, tmp_path) for path in (*data.glob("plc.*"), data / "dev.env")]
    shutil.rmtree(data)
    environ = "".join(f"{name}='{value}'\n" for name, value in replica.environ.items())
    (tmp_path / "litestream.env").write_text(environ)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "rsync").write_text(_RSYNC)
    (tmp_path / "programs" / "rsync").chmod(0o755)
    script = typed(
        block_of("Small servers: `litestream.yml`", "rsync -a backup:pds/actors/ /pds"),
        {
            "/etc/holdfast/litestream.env": str(tmp_path / "litestream.env"),
            "/etc/holdfast/pds.env": str(tmp_path / "pds.env"),
            "holdfast: /pds": f"{getpass.getuser()}: {data}",
            "backup:pds": f"backup:{copies}",
            "/pds": str(data),
        },
    )
    printed = shell(script, cwd=tmp_path, path=f"{tmp_path / 'programs'}:")
    assert "These accounts have no usable database in the replica (1):" in printed
    assert world.bob.did in printed
    for path in kept:
        shutil.move(path, data)
    world.start()
    await world.create(world.alice, "third")
    assert (await world.try_to_create(world.bob, "refused"))[0] == 503
    await world.watcher.catch_up()
    assert await world.records(world.alice) == {"first", "second", "third"}


def test_litestream_runs_as_the_user_that_can_read_its_file() -> None:
    unit = (ROOT / "deploy" / "systemd" / "litestream.service").read_text()
    assert "\nUser=holdfast\n" in unit
    assert "chown holdfast: /etc/holdfast/litestream.env\n" in DOCUMENT


def test_every_command_names_the_settings_where_the_installation_puts_them() -> None:
    assert set(re.findall(r"--env-file (/[\w./]+)", DOCUMENT)) == {"/etc/holdfast/pds.env"}


def write_settings(replicated: ReplicatingServer) -> Path:
    """The settings of a server in a file, as an operator has them."""
    path = replicated.directory / "pds.env"
    environ = {**replicated.environ, "PDS_REPLICATION_URL": replicated.url}
    path.write_text("".join(f"{name}='{value}'\n" for name, value in environ.items()))
    path.chmod(0o600)
    return path


def test_a_drill_and_a_restore_as_typed(replicated: ReplicatingServer, tmp_path: Path) -> None:
    session = replicated.sign_up("alice")
    replicated.post(session, "kept")
    replicated.until_sent()
    env_file = write_settings(replicated)
    places = {"s3://my-backups/pds": replicated.url, "/etc/holdfast/pds.env": str(env_file)}
    drill = typed(
        block_of("Restore", "/var/tmp/drill"),  # noqa: S108 (the document's)
        {**places, "/var/tmp/drill": str(tmp_path / "drill")},  # noqa: S108
    )
    printed = shell(drill, cwd=tmp_path)
    assert "The replica lacked nothing." in printed
    assert "Nothing is wrong." in printed
    replicated.stop()
    replicated.data.rename(tmp_path / "lost")
    script = block_of("Restore", "systemctl start holdfast").replace("mv /pds /pds-lost\n", "")
    printed = shell(typed(script, {**places, "/pds": str(replicated.data)}), cwd=tmp_path)
    assert "The databases agree with each other" in printed
    assert "Nothing is wrong." in printed
    replicated.start()
    assert replicated.notes(session["did"]) == {"kept"}


def test_an_account_is_put_in_its_place_as_the_report_tells(
    replicated: ReplicatingServer, tmp_path: Path
) -> None:
    session = replicated.sign_up("alice")
    replicated.post(session, "kept")
    replicated.until_sent()
    env_file = write_settings(replicated)
    script = typed(
        block_of("Restore", "--did"),
        {
            "/etc/holdfast/pds.env": str(env_file),
            "s3://my-backups/pds": replicated.url,
            "/var/tmp/one": str(tmp_path / "one"),  # noqa: S108 (the document's)
            "did:plc:ewvi7nxzyoun6zhxrhs64oiz": session["did"],
        },
    )
    printed = shell(script, cwd=tmp_path)
    replicated.stop()
    (store,) = replicated.data.glob("actors/*/did:*/store.sqlite")
    store.write_bytes(b"damaged" * 1_000)
    commands = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
    programs = ("mkdir ", "mv ", "cp ", "touch ")
    shell("\n".join(line for line in commands if line.startswith(programs)), cwd=tmp_path)
    replicated.start()
    assert replicated.notes(session["did"]) == {"kept"}
    replicated.post(session, "again")
