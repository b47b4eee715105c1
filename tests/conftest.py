"""Hooks of the whole suite."""

from __future__ import annotations

from tests.calls import write_calls


def pytest_sessionfinish() -> None:
    """Every process of a run leaves the calls that it has seen."""
    write_calls()
