"""What the daemons do by their configuration: the real program reads it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pds.replication.litestream.config import DaemonConfig, actors_config, services_config
from tests.pds.replication.litestream.daemons import add, make_database, running


@pytest.mark.parametrize("config", [services_config(retention_days=7), actors_config()])
def test_the_file_is_json_for_any_path(config: DaemonConfig) -> None:
    socket = Path('/tmp/"quoted" $HOME ü 🐘/: control')  # noqa: S108
    assert json.loads(config.text(socket))["socket"]["path"] == str(socket)


async def test_service_databases_are_compacted_and_old_files_removed() -> None:
    config = _talkative(services_config(retention_days=30))
    with capture_logs() as logged:
        async with running(config):
            pass
    events = [one["event"] for one in logged]
    # Levels 1, 2 and 3, and snapshots.
    assert events.count("litestream: starting compaction monitor") == 4
    assert "litestream: starting L0 retention monitor" in events
    assert '"retention": "720h"' in config.text(Path("/x"))
    # Each of these lists files of every database, whether or not it has changed.
    settings = json.loads(config.text(Path("/x")))
    assert settings["l0-retention-check-interval"] == "24h"
    assert [level["interval"] for level in settings["levels"]] == ["300s", "3600s", "21600s"]
    assert not any("validation" in event or "heartbeat" in event for event in events)


async def test_actors_have_no_chores() -> None:
    with capture_logs() as logged:
        async with running(_talkative(actors_config())):
            pass
    events = [one["event"] for one in logged]
    # Litestream always starts that of snapshots; see the next test.
    assert events.count("litestream: starting compaction monitor") == 1
    assert "litestream: starting L0 retention monitor" not in events


def test_the_snapshots_of_actors_are_never_due() -> None:
    """Litestream counts intervals from the year 1, and takes no longer time than 292 years."""
    settings = json.loads(actors_config().text(Path("/x")))["snapshot"]
    for value in (settings["interval"], settings["retention"]):
        (hours,) = re.fullmatch(r"(\d+)h", value).groups()  # type: ignore[union-attr]
        years = int(hours) / 24 / 365.2425
        assert years < 292
        # None of its multiples is in the next century and a half.
        assert 2026 % years + 150 < years


async def test_a_daemon_of_actors_leaves_what_it_has_sent_alone(tmp_path: Path) -> None:
    database = make_database(tmp_path / "store.sqlite")
    replica = tmp_path / "replica"
    async with running() as daemon:
        await daemon.client.register(database, f"file://{replica}")
        for number in range(3):
            add(database, number)
            await daemon.client.sync(database)
        await daemon.client.unregister(database)
    sent = {path.relative_to(replica / "ltx").parts[0] for path in replica.rglob("*.ltx")}
    assert sent == {"0"}
    assert len(list(replica.rglob("*.ltx"))) == 3


def _talkative(config: DaemonConfig) -> DaemonConfig:
    return replace(config, log_level="info")
