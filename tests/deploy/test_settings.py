"""Settings in deploy/: they exist, work together, and are read the same by everybody."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pds.config import read_settings
from pds.config.env_file import read_env_file
from tests.conformance.client import Client
from tests.deploy.files import (
    DEPLOY,
    STACKS,
    example_settings,
    examples_of,
    offered_by,
    services_of,
)
from tests.documented_settings import documented_settings
from tests.pds.car.cars import DID, car_of
from tests.pds.readonly.conftest import wait_until
from tests.processes import ServerProcess, clean_environment, free_port

_OF_OTHERS = {
    "CADDY_GLOBAL_OPTIONS",
    "COMPOSE_PROFILES",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_SECRET_ACCESS_KEY",
}
"""Variables of Caddy, Compose, SeaweedFS and Litestream."""


@pytest.mark.parametrize("stack", STACKS)
def test_every_variable_is_a_setting_of_somebody(stack: str) -> None:
    settings = {setting.name for setting in documented_settings()}
    named = {name for path in examples_of(stack) for name in offered_by(path)}
    for _, service in services_of(stack):
        named |= service.get("environment", {}).keys()
    assert named <= settings | _OF_OTHERS


@pytest.mark.parametrize("stack", ["pds", "pds-s3", "hold"])
def test_a_server_takes_the_example_once_its_secrets_are_filled_in(stack: str) -> None:
    ((_, service),) = [found for found in services_of(stack) if found[0] in ("pds", "hold")]
    inside = {name: str(value) for name, value in service["environment"].items()}
    settings = read_settings(example_settings(stack) | inside)
    assert settings.bind_address == "0.0.0.0"  # noqa: S104 (inside a container)
    assert str(settings.data_directory) == "/pds"
    assert settings.metrics.port == 9464


@pytest.mark.parametrize("stack", ["pds", "hold"])
def test_without_a_container_the_example_keeps_the_server_behind_its_proxy(stack: str) -> None:
    settings = read_settings(example_settings(stack))
    assert (settings.bind_address, settings.service.port) == ("127.0.0.1", 3000)


@pytest.mark.parametrize("stack", STACKS)
def test_a_shell_reads_an_example_as_the_server_does_also_what_is_commented_out(
    stack: str, tmp_path: Path
) -> None:
    for path in examples_of(stack):
        file = tmp_path / f"{path.parent.name}.env"
        lines = path.read_text().splitlines()
        uncommented = [line.removeprefix("#") if line[:5] != "#   " else line for line in lines]
        kept = [line for line in uncommented if line.partition("=")[0] in offered_by(path)]
        file.write_text("\n".join(kept) + "\n")
        read = read_env_file(file)
        assert read.keys() == offered_by(path)
        done = subprocess.run(  # noqa: S603
            ["/bin/sh", "-eu", "-a", "-c", f". {file}; env --null"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        printed = dict(line.partition("=")[::2] for line in done.stdout.split("\0"))
        assert read.items() <= printed.items()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_secrets_made_as_the_example_tells_start_a_server() -> None:
    (path,) = examples_of("pds")
    comments = re.findall(r"^# .*?(openssl .*)$", path.read_text(), re.MULTILINE)
    secret, key = (_output(command) for command in comments)
    environ = {
        name: value or (key if "ROTATION" in name else secret)
        for name, value in read_env_file(path).items()
    }
    assert len(secret) == 32
    assert len(read_settings(environ).plc_rotation_key) == 32


def _output(command: str) -> str:
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-euc", command], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("stack", STACKS)
def test_the_commands_of_the_document_put_the_settings_where_compose_reads_them(
    stack: str, tmp_path: Path
) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    document = (DEPLOY.parent / "docs" / "deploy.md").read_text()
    (typed,) = re.findall(rf"^(cd deploy/{stack}\n.*?)^```$", document, re.MULTILINE | re.DOTALL)
    subprocess.run(["/bin/sh", "-euc", typed], cwd=tmp_path, timeout=20, check=True)  # noqa: S603
    made = tmp_path / "deploy" / stack / ".env"
    assert made.stat().st_mode & 0o777 == 0o600
    expected: dict[str, str] = {}
    for path in examples_of(stack):
        expected |= read_env_file(path)
    assert read_env_file(made) == expected


def test_the_archive_serves_what_its_directory_has(tmp_path: Path) -> None:
    ((_, service),) = [found for found in services_of("readonly") if found[0] == "readonly"]
    for name in ("cars", "blobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "cars" / "a.car").write_bytes(car_of())
    program, command, *options = service["command"]
    assert (program, command) == ("pds", "readonly")
    port = free_port()
    moved = {
        name: str(value).replace("/archive", str(tmp_path))
        for name, value in service["environment"].items()
    }
    env = {**example_settings("readonly"), **moved, "PDS_PORT": str(port)}
    server = ServerProcess.launch(
        [sys.executable, "-m", "pds", command]
        + [option.replace("=/pds", f"={tmp_path / 'loaded'}") for option in options]
        + ["--verify=offline"],
        url=f"http://localhost:{port}",
        log_file=tmp_path / "log",
        # Not on all interfaces of a machine that runs tests.
        env=clean_environment({**env, "PDS_BIND_ADDRESS": "127.0.0.1"}),
    )
    try:
        wait_until(lambda: "1 loaded, " in server.log())
        client = Client(server.url)
        assert client.get("com.atproto.sync.getLatestCommit", did=DID).status == 200
        described = client.call("com.atproto.server.describeServer")
        assert described["did"] == "did:web:archive.example.com"
    finally:
        server.kill()


def test_nothing_secret_can_be_committed() -> None:
    assert "deploy/*/.env" in (DEPLOY.parent / ".gitignore").read_text().splitlines()
