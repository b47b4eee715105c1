"""One server's turn: start it, fill it, load it, read its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks import load
from benchmarks.archive import CarFigures, Cars, measure_cars
from benchmarks.memory import Memory, memory_of
from benchmarks.scenarios import RepoName, Scenario
from benchmarks.seed import Repo, create_repo
from benchmarks.servers import Launch, Server, running


@dataclass(slots=True)
class Measured:
    """What one server has shown."""

    version: str
    sizes: dict[RepoName, int]
    results: dict[str, load.Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    write_rates: dict[RepoName, float] = field(default_factory=dict)
    """Records a second while the repositories were filled, 200 a commit."""
    memory_started: Memory | None = None
    memory_after: Memory | None = None
    cars: CarFigures | None = None


def measure(
    launch: Launch,
    scenarios: Sequence[Scenario],
    sizes: dict[RepoName, int],
    seconds: float,
    cars: Cars | None,
) -> Measured:
    """Run the scenarios whose repository is in `sizes`, each for `seconds` after a warm-up.

    `cars` are CAR files, if something is to be done with them in the end.
    """
    measured = Measured(launch.version, sizes)
    wanted = [scenario for scenario in scenarios if scenario.repo in sizes]
    with running(launch) as server:
        measured.memory_started = memory_of(server.pid)
        repos = _fill(server, {scenario.repo for scenario in wanted}, measured)
        for scenario in wanted:
            _say(f"{server.name}: {scenario.name}")
            try:
                result = load.run(server, scenario, repos[scenario.repo], seconds)
                measured.results[scenario.name] = result
            except load.LoadFailed as exc:
                _say(f"{server.name}: {scenario.name} failed: {exc}")
                measured.failures[scenario.name] = str(exc)
        measured.memory_after = memory_of(server.pid)
        if cars is not None:
            _say(f"{server.name}: CAR files")
            measured.cars = measure_cars(server, cars, seconds)
    return measured


def _fill(server: Server, names: set[RepoName], measured: Measured) -> dict[RepoName, Repo]:
    repos: dict[RepoName, Repo] = {}
    for name in sorted(names, key=lambda name: measured.sizes[name]):
        size = measured.sizes[name]
        _say(f"{server.name}: writing a repository of {size:,} records")
        repos[name] = create_repo(server, f"bench-{name}", size)
        measured.write_rates[name] = size / repos[name].seconds
    return repos


def _say(text: str) -> None:
    print(text, flush=True)
