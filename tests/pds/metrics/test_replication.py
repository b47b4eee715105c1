"""Metrics of replication: what its supervisor says, and nothing that is no longer true."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.config.settings import Settings
from pds.metrics.replication import replication_families
from tests.pds.config.test_replication_settings import settings_with
from tests.pds.config.test_settings import settings_with as settings_without
from tests.pds.conftest import Pds
from tests.pds.metrics.scrape import scrape
from tests.pds.replication.statuses import tell, waiting


def settings_on(data: Path) -> Settings:
    return settings_with(PDS_DATA_DIRECTORY=str(data))


def samples(settings: Settings) -> dict[tuple[str, str], float]:
    """The value of each metric, by its name and the value of its label."""
    return {
        (sample.name.removeprefix("holdfast_replication_"), "".join(sample.labels.values())): (
            sample.value
        )
        for family in replication_families(settings)
        for sample in family.samples
    }


def test_without_replication_there_are_none(tmp_path: Path) -> None:
    assert list(replication_families(settings_without(PDS_DATA_DIRECTORY=str(tmp_path)))) == []


def test_a_supervisor_that_is_a_service_of_its_own_is_told_too(tmp_path: Path) -> None:
    tell(tmp_path)
    found = samples(settings_without(PDS_DATA_DIRECTORY=str(tmp_path)))
    assert found["up", ""] == 1


def test_lag_and_accounts_are_told(tmp_path: Path) -> None:
    tell(tmp_path, actors=waiting(3, 2.5, failing=1))
    found = samples(settings_on(tmp_path))
    assert found["up", ""] == 1
    assert found["lag_seconds", "actors"] == 2.5
    assert found["lag_seconds", "sequencer"] == 0
    assert found["accounts", "known"] == 1_000
    assert found["accounts", "waiting"] == 3
    assert found["accounts", "failing"] == 1
    assert found["accounts", "hot"] == 20
    assert found["daemon_restarts_total", "actors"] == 2
    assert found["syncs_total", ""] == 5_000
    assert found["failed_syncs_total", ""] == 3
    assert found["last_sync_timestamp_seconds", "account"] > 1e9


@pytest.mark.parametrize("state", ["starting", "unreachable"])
def test_one_that_does_not_reach_its_replica_is_not_up_but_tells_its_lag(
    tmp_path: Path, state: str
) -> None:
    tell(tmp_path, state=state, actors=waiting(3, 90))
    found = samples(settings_on(tmp_path))
    assert found["up", ""] == 0
    assert found["lag_seconds", "actors"] == 90


def test_figures_of_one_that_does_not_run_are_not_told(tmp_path: Path) -> None:
    tell(tmp_path, written_s=1.0)
    assert samples(settings_on(tmp_path)) == {("up", ""): 0}


def test_one_that_never_ran_is_not_up(tmp_path: Path) -> None:
    assert samples(settings_on(tmp_path)) == {("up", ""): 0}


async def test_a_scrape_has_them(pds: Pds) -> None:
    tell(pds.ctx.settings.data_directory)
    metrics = await scrape(pds)
    assert metrics["replication_up"] == 1
