"""What a running server tells Prometheus: metrics, their kinds, their labels and the values."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests.pds.replication.statuses import tell
from tests.processes import DevServer, free_port

_SURVEYED_S: Final = 30.0
_BLOBS: Final = "holdfast_blobs"
"""Told once the server has looked at its files, in the background."""


@dataclass(slots=True)
class Series:
    """One metric: whether it only rises, and the values of each label."""

    rises: bool
    labels: dict[str, set[str]] = field(default_factory=dict)


def scrape_a_server(directory: Path) -> dict[str, Series]:
    """Start a server, write a record, and return its metrics by name."""
    port = free_port()
    server = DevServer.start(directory, env={"PDS_METRICS_PORT": str(port)})
    try:
        _write(server.url)
        deadline = time.monotonic() + _SURVEYED_S
        while True:
            # As if `pds replicate` ran beside it.
            tell(directory)
            if _BLOBS in (found := _scrape(f"http://127.0.0.1:{port}/metrics")):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found
    finally:
        server.kill()


def _write(url: str) -> None:
    body = {"handle": "alice.test", "email": "alice@example.com", "password": "correct-horse"}
    session = _call(url, "com.atproto.server.createAccount", body)
    record = {"repo": session["did"], "collection": "com.example.note", "record": {"n": 1}}
    _call(url, "com.atproto.repo.createRecord", record, token=session["accessJwt"])


def _call(url: str, nsid: str, body: dict[str, Any], *, token: str = "") -> Any:
    request = urllib.request.Request(  # noqa: S310
        f"{url}/xrpc/{nsid}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    if not token:
        request.remove_header("Authorization")
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        return json.load(response)


def _scrape(url: str) -> dict[str, Series]:
    with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310
        text = response.read().decode()
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = found.setdefault(sample.name, Series(family.type in ("counter", "histogram")))
            for label, value in sample.labels.items():
                series.labels.setdefault(label, set()).add(value)
    return found
