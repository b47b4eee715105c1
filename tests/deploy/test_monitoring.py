"""The dashboard and the alerts: each names metrics and labels that a running server has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deploy.files import DEPLOY, read_yaml, services_of
from tests.deploy.queries import Query, parse_query
from tests.deploy.scrape import Series, scrape_a_server

_DIRECTORY = DEPLOY / "monitoring"
_DASHBOARD: Any = json.loads((_DIRECTORY / "dashboard.json").read_text())
_JOB = "holdfast"
_ADDED = {"instance", "job"}
"""The labels that Prometheus adds to what it scrapes."""
_UNKNOWABLE = {"status", "instance"}
"""The labels whose values a server without trouble does not have, or Prometheus sets."""


@dataclass(frozen=True, slots=True)
class Named:
    """A query, by what asks it, with the text in which its labels are shown."""

    title: str
    text: str
    shown: str

    @property
    def query(self) -> Query:
        return parse_query(self.text.replace("$__rate_interval", "5m"))


def panels() -> list[dict[str, Any]]:
    return [panel for panel in _DASHBOARD["panels"] if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    (group,) = read_yaml(_DIRECTORY / "alerts.yml")["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def all_queries() -> Iterator[Named]:
    for panel in panels():
        for target in panel["targets"]:
            yield Named(panel["title"], target["expr"], target["legendFormat"])
    for rule in alerts():
        yield Named(rule["alert"], rule["expr"], rule["annotations"]["summary"])


each_query = pytest.mark.parametrize("named", [*all_queries()], ids=lambda named: named.title)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Series]:
    found = scrape_a_server(tmp_path_factory.mktemp("scraped"))
    return {**found, "up": Series(rises=False)}


@each_query
def test_every_metric_and_label_of_a_query_exists(named: Named, series: dict[str, Series]) -> None:
    assert named.query.selectors
    for selector in named.query.selectors:
        labels = series[selector.metric].labels
        for label, is_pattern, value in selector.matchers:
            assert label in labels or label in _ADDED
            if label == "job":
                assert value == _JOB
            elif label not in _UNKNOWABLE:
                assert not is_pattern
                assert value in labels[label]


@each_query
def test_the_labels_that_are_grouped_by_or_shown_are_those_of_the_metrics(
    named: Named, series: dict[str, Series]
) -> None:
    query = named.query
    of_metrics = [series[selector.metric].labels.keys() | _ADDED for selector in query.selectors]
    assert all(query.grouped_by <= labels for labels in of_metrics)
    shown = set(re.findall(r"\{\{ *(?:\$labels\.)?(\w+) *\}\}", named.shown))
    assert shown <= (query.grouped_by or set.intersection(*map(set, of_metrics)))


@each_query
def test_changes_are_taken_of_what_only_rises_and_of_that_always(
    named: Named, series: dict[str, Series]
) -> None:
    for selector in named.query.selectors:
        assert selector.over_time == series[selector.metric].rises, selector.metric


def test_a_query_that_is_none_is_noticed() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        parse_query("sum(rate(holdfast_requests_total[5m])")


def test_no_panel_covers_another_and_each_has_a_number_of_its_own() -> None:
    covered = [
        (x, y)
        for panel in _DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24
    numbers = [panel["id"] for panel in _DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_the_dashboard_asks_the_source_and_the_servers_that_are_chosen() -> None:
    variables = {variable["name"] for variable in _DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    for panel in panels():
        for asking in (panel, *panel["targets"]):
            assert asking["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            for selector in parse_query(target["expr"].replace("$__rate_interval", "5m")).selectors:
                assert ("instance", True, "$instance") in selector.matchers


def test_an_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_prometheus_scrapes_where_the_containers_answer() -> None:
    config = read_yaml(_DIRECTORY / "prometheus.yml")
    (job,) = config["scrape_configs"]
    assert job["job_name"] == _JOB
    assert [(_DIRECTORY / name).is_file() for name in config["rule_files"]] == [True]
    ((target,),) = (each["targets"] for each in job["static_configs"])
    pds = dict(services_of("pds"))["pds"]
    assert f"{target}:{pds['environment']['PDS_METRICS_PORT']}" in pds["ports"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_prometheus_takes_its_files() -> None:
    for words in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = subprocess.run(  # noqa: S603
            ["promtool", "check", *words],  # noqa: S607
            cwd=_DIRECTORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
