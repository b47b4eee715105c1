"""The compose files: what Compose takes, and what every container has and has not."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compose_spec import PyCompose, parse_duration

from pds.server.draining import GRACE_S
from tests.deploy.files import (
    COMPOSE_FILES,
    DEPLOY,
    ROOT,
    STACKS,
    example_settings,
    examples_of,
    interpolated,
    offered_by,
    services_of,
    variables_in,
)

_SERVICES = [
    pytest.param(service, id=f"{stack}-{name}")
    for stack in STACKS
    for name, service in services_of(stack)
]

each_service = pytest.mark.parametrize("service", _SERVICES)


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.parent.name)
def test_every_file_is_one_by_the_specification(path: Path) -> None:
    text = interpolated(path.read_text(), example_settings("pds-s3"))
    compose = PyCompose.from_yaml(text)
    compose.validate()
    assert compose.service_names()


def test_a_key_that_no_service_has_is_noticed() -> None:
    text = (DEPLOY / "common.yaml").read_text()
    with pytest.raises(ValueError, match="read_olny"):
        PyCompose.from_yaml(text.replace("read_only", "read_olny"))


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.skipif(not shutil.which("docker"), reason="needs docker")
def test_compose_itself_takes_every_stack(stack: str, tmp_path: Path) -> None:
    if _compose("version", cwd=tmp_path).returncode:
        pytest.skip("needs docker compose")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    text = "".join(f"{name}='{value}'\n" for name, value in example_settings(stack).items())
    (tmp_path / "deploy" / stack / ".env").write_text(text)
    done = _compose("config", "--quiet", cwd=tmp_path / "deploy" / stack)
    assert (done.returncode, done.stderr) == (0, "")


def _compose(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["docker", "compose", *words],  # noqa: S607
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("stack", STACKS)
def test_what_compose_replaces_is_offered_by_the_example(stack: str) -> None:
    used = variables_in((DEPLOY / stack / "compose.yaml").read_text())
    used |= variables_in((DEPLOY / "common.yaml").read_text())
    offered = {name for path in examples_of(stack) for name in offered_by(path)}
    assert used <= offered


@each_service
def test_no_container_can_change_its_files_or_gain_privileges(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) in ([], ["NET_BIND_SERVICE"])
    assert "no-new-privileges:true" in service.get("security_opt", []) or service.get("cap_add")
    assert "privileged" not in service


@each_service
def test_no_container_runs_as_root(service: dict[str, Any]) -> None:
    if service["image"] == "holdfast":
        assert re.findall(r"^USER (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    else:
        assert service["user"] == "1000:1000"


@each_service
def test_only_caddy_is_reachable_from_other_machines(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert ("network_mode" in service) == service["image"].startswith("caddy:")


@each_service
def test_every_container_starts_again_and_has_files_time_and_bounded_logs(
    service: dict[str, Any],
) -> None:
    assert service["restart"] == "unless-stopped"
    assert service["ulimits"]["nofile"] >= 100_000
    assert service["logging"] == {"driver": "local"}
    # The databases are closed after the requests in progress.
    assert parse_duration(service["stop_grace_period"]) >= GRACE_S + 20


@each_service
def test_every_image_has_a_version_or_is_built_here(service: dict[str, Any]) -> None:
    if service["image"] == "holdfast":
        assert (DEPLOY / service["build"] / "Dockerfile").is_file()
    else:
        assert re.fullmatch(r"[\w/-]+:\d+\.\d+", service["image"])


def test_every_file_that_a_container_gets_from_here_exists() -> None:
    named = [
        source
        for _, service in _all_services()
        for source in (volume.partition(":")[0] for volume in service.get("volumes", []))
        if source.startswith(".")
    ]
    assert named == ["./Caddyfile"] * len(STACKS)
    assert (DEPLOY / "Caddyfile").is_file()


def test_the_image_checks_the_health_of_its_server() -> None:
    (check,) = re.findall(
        r"^HEALTHCHECK ((?:.*\\\n)*.*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert "/xrpc/_health" in check
    # As long as a unit of systemd waits for it: after a crash there may be much to repair.
    assert "--start-period=15m" in check


def _all_services() -> Iterator[tuple[str, dict[str, Any]]]:
    for stack in STACKS:
        yield from services_of(stack)
