"""Measuring servers side by side: start and fill them, load them in turn, read their memory.

The loads of one scenario alternate between the servers, so that whatever else the machine does
falls on all of them; of several rounds the median counts. A server that nobody asks is idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from benchmarks import load
from benchmarks.archive import CarFigures, Cars, measure_cars
from benchmarks.hold import HoldFigures
from benchmarks.memory import Memory, memory_of
from benchmarks.s3 import S3Figures
from benchmarks.scenarios import RepoName, Scenario
from benchmarks.seed import Repo, create_repo
from benchmarks.servers import Launch, Server, running

ROUNDS: Final = 3


@dataclass(slots=True)
class Measured:
    """What one server has shown."""

    version: str
    sizes: Mapping[RepoName, int]
    results: dict[str, load.Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    write_rates: dict[RepoName, float] = field(default_factory=dict)
    """Records a second while the repositories were filled, 200 a commit."""
    memory_started: Memory | None = None
    memory_after: Memory | None = None
    cars: CarFigures = field(default_factory=CarFigures)
    hold: HoldFigures | None = None
    s3: S3Figures | None = None
    oauth: dict[str, load.Result] = field(default_factory=dict)


@dataclass(slots=True)
class _Running:
    """A server that has been filled, and what it has shown so far."""

    server: Server
    measured: Measured
    repos: dict[RepoName, Repo]


def measure(
    launches: Mapping[str, Launch],
    scenarios: Sequence[Scenario],
    sizes: Mapping[str, Mapping[RepoName, int]],
    seconds: float,
    cars: Sequence[Cars],
) -> dict[str, Measured]:
    """Run the scenarios on each server whose `sizes` have their repository, for `seconds` each.

    `cars` are CAR files, one for each round, if something is to be done with them in the end.
    """
    with ExitStack() as stack:
        all_running = [
            _start(stack, launch, scenarios, sizes[name]) for name, launch in launches.items()
        ]
        for scenario in scenarios:
            _load_in_turn(all_running, scenario, seconds)
        for one in all_running:
            one.measured.memory_after = memory_of(one.server.pid)
        for file in cars:
            for one in all_running:
                _say(f"{one.server.name}: CAR files")
                measure_cars(one.server, file, one.measured.cars, seconds / ROUNDS)
        return {name: one.measured for name, one in zip(launches, all_running, strict=True)}


def _start(
    stack: ExitStack,
    launch: Launch,
    scenarios: Sequence[Scenario],
    sizes: Mapping[RepoName, int],
) -> _Running:
    server = stack.enter_context(running(launch))
    measured = Measured(launch.version, sizes)
    measured.memory_started = memory_of(server.pid)
    wanted = {scenario.repo for scenario in scenarios} & sizes.keys()
    return _Running(server, measured, _fill(server, wanted, measured))


def _load_in_turn(all_running: Sequence[_Running], scenario: Scenario, seconds: float) -> None:
    results: dict[str, list[load.Result]] = {}
    for _ in range(ROUNDS):
        for one in all_running:
            name, measured = one.server.name, one.measured
            if scenario.repo not in one.repos or scenario.name in measured.failures:
                continue
            _say(f"{name}: {scenario.name}")
            try:
                result = load.run(one.server, scenario, one.repos[scenario.repo], seconds / ROUNDS)
                results.setdefault(name, []).append(result)
            except load.LoadFailed as exc:
                _say(f"{name}: {scenario.name} failed: {exc}")
                measured.failures[scenario.name] = str(exc)
    for one in all_running:
        found = results.get(one.server.name)
        if found and scenario.name not in one.measured.failures:
            one.measured.results[scenario.name] = load.median(found)


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
