"""The units of systemd: what systemd takes, what they start, and what they keep away from it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import click
import pytest

from pds.cli import main
from pds.server.draining import GRACE_S
from pds.server.replicator import DRAIN_S
from tests.deploy.files import DEPLOY, example_settings

_DIRECTORY = DEPLOY / "systemd"
_UNITS = sorted(_DIRECTORY.glob("*.service"))
_SERVERS = [path for path in _UNITS if path.name.startswith("holdfast")]
_LINE = re.compile(r"(\w+)=(.*)")
_ALLOWED_EXPOSURE = 20
"""In tenths, of 100, by `systemd-analyze security`: below 2.0 is its best grade but one."""

each_unit = pytest.mark.parametrize("path", _UNITS, ids=lambda path: path.name)
each_server = pytest.mark.parametrize("path", _SERVERS, ids=lambda path: path.name)


def read_unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """The values of each key by section. Every line has to be one of the format."""
    sections: dict[str, dict[str, list[str]]] = {}
    keys: dict[str, list[str]] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if found := re.fullmatch(r"\[(\w+)\]", line):
            assert found[1] not in sections, line
            keys = sections.setdefault(found[1], defaultdict(list))
            continue
        pair = _LINE.fullmatch(line)
        assert pair is not None, line
        assert keys is not None, line
        keys[pair[1]].append(pair[2])
    return sections


@each_unit
def test_a_unit_has_the_sections_of_a_service_and_repeats_nothing(path: Path) -> None:
    sections = read_unit(path)
    assert sections.keys() == {"Unit", "Service", "Install"}
    assert [
        key for section in sections.values() for key, found in section.items() if found[1:]
    ] == []


@each_unit
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_understands_every_line(path: Path, tmp_path: Path) -> None:
    done = _analyze("verify", _startable(path, tmp_path))
    assert path.name not in done.stderr, done.stderr


@each_unit
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_finds_a_unit_well_protected(path: Path, tmp_path: Path) -> None:
    options = ("security", "--offline=true", f"--threshold={_ALLOWED_EXPOSURE}", "--no-pager")
    done = _analyze(*options, _startable(path, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def _startable(path: Path, directory: Path) -> str:
    """The path of a copy that starts a program which is on this machine."""
    copy = directory / path.name
    text = re.sub(r"^ExecStart=/\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE)
    copy.write_text(text)
    return str(copy)


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["systemd-analyze", *words],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@each_server
def test_a_unit_starts_a_command_of_this_program(path: Path) -> None:
    program, name, *options = read_unit(path)["Service"]["ExecStart"][0].split()
    assert program == "/opt/holdfast/bin/pds"
    command = main.get_command(click.Context(main), name)
    assert command is not None
    known = {option for param in command.params for option in param.opts}
    assert {option for option in options if option.startswith("--")} <= known


@each_server
def test_systemd_waits_for_a_server_as_long_as_it_needs(path: Path) -> None:
    service = {key: found[0] for key, found in read_unit(path)["Service"].items()}
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert service["TimeoutStartSec"] == "15min"
    # The databases are closed after the requests in progress.
    assert int(service["TimeoutStopSec"]) >= GRACE_S + 20
    assert int(service["LimitNOFILE"]) >= 100_000


@each_unit
def test_a_unit_can_write_in_its_own_directory_only(path: Path) -> None:
    service = {key: found[0] for key, found in read_unit(path)["Service"].items()}
    assert service["User"] == "holdfast"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "true"
    assert service["CapabilityBoundingSet"] == ""
    places = {
        "holdfast.service": ("ReadWritePaths", example_settings("pds")["PDS_DATA_DIRECTORY"]),
        "holdfast-hold.service": ("StateDirectory", "holdfast-hold"),
        "holdfast-replicate.service": (
            "ReadWritePaths",
            example_settings("pds")["PDS_DATA_DIRECTORY"],
        ),
        "holdfast-readonly.service": ("CacheDirectory", "holdfast-readonly"),
        "litestream.service": ("ReadWritePaths", example_settings("pds")["PDS_DATA_DIRECTORY"]),
    }
    kinds = ("ReadWritePaths", "StateDirectory", "CacheDirectory", "LogsDirectory")
    assert [(kind, service[kind]) for kind in kinds if kind in service] == [places[path.name]]


def test_the_hold_keeps_its_data_where_its_unit_lets_it() -> None:
    assert example_settings("hold")["PDS_DATA_DIRECTORY"] == "/var/lib/holdfast-hold"


def test_litestream_starts_and_stops_with_the_server_and_as_its_user() -> None:
    sections = read_unit(_DIRECTORY / "litestream.service")
    assert sections["Unit"]["After"] == sections["Unit"]["PartOf"] == ["holdfast.service"]
    assert sections["Install"]["WantedBy"] == ["holdfast.service"]


def test_replication_stops_after_the_server_whichever_of_them_starts_it() -> None:
    server, replication = (
        read_unit(_DIRECTORY / f"{name}.service") for name in ("holdfast", "holdfast-replicate")
    )
    assert replication["Unit"]["Before"] == ["holdfast.service"]
    for unit in (server, replication):
        # Children get no signal of systemd's, except to be killed in the end.
        assert unit["Service"]["KillMode"] == ["mixed"]
        assert int(unit["Service"]["TimeoutStopSec"][0]) >= GRACE_S + DRAIN_S + 20


def test_caddy_is_told_the_name_that_the_example_has() -> None:
    told = read_unit(_DIRECTORY / "caddy.conf")["Service"]["Environment"]
    assert told == [f"PDS_HOSTNAME={example_settings('pds')['PDS_HOSTNAME']}"]


def test_the_socket_unit_has_the_port_of_the_settings() -> None:
    sections = read_unit(_DIRECTORY / "holdfast.socket")
    assert sections.keys() == {"Unit", "Socket", "Install"}
    (address,) = sections["Socket"]["ListenStream"]
    assert address == f"127.0.0.1:{example_settings('pds')['PDS_PORT']}"
    assert sections["Install"]["WantedBy"] == ["sockets.target"]
    # By its name it starts the service of the same name.
    assert (_DIRECTORY / "holdfast.service").exists()
