"""The Caddyfile, as Caddy reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.caddy import CADDYFILE, caddy

_HOST = {"PDS_HOSTNAME": "pds.example.com"}


@pytest.fixture
def config(tmp_path: Path) -> Any:
    """The whole configuration that the file comes to."""
    done = caddy("adapt", "--config", str(CADDYFILE), directory=tmp_path, **_HOST)
    assert (done.returncode, "warn" in done.stderr) == (0, False), done.stderr
    return json.loads(done.stdout)


def test_caddy_takes_it_with_options_and_without(tmp_path: Path) -> None:
    for options in ("", "email you@example.com"):
        environ = {**_HOST, "CADDY_GLOBAL_OPTIONS": options}
        words = ("validate", "--config", str(CADDYFILE), "--adapter", "caddyfile")
        done = caddy(*words, directory=tmp_path, **environ)
        assert done.returncode == 0, done.stderr
        assert "Valid configuration" in done.stdout + done.stderr


def test_it_is_formatted_as_caddy_formats(tmp_path: Path) -> None:
    done = caddy("fmt", "-", directory=tmp_path, stdin=CADDYFILE.read_text())
    assert (done.returncode, done.stdout) == (0, CADDYFILE.read_text())


def test_only_names_below_the_server_get_certificates_on_demand_and_only_if_it_says_so(
    config: Any,
) -> None:
    automation = config["apps"]["tls"]["automation"]
    assert [policy["subjects"] for policy in automation["policies"] if policy.get("on_demand")] == [
        ["*.pds.example.com"]
    ]
    permission = automation["on_demand"]["permission"]
    assert permission == {"module": "http", "endpoint": "http://127.0.0.1:3000/tls-check"}


def test_nothing_is_buffered(config: Any) -> None:
    text = json.dumps(config)
    assert '"handler": "reverse_proxy"' in text
    assert "buffer" not in text
