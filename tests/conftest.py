"""Hooks of the whole suite."""

from __future__ import annotations

import os

from hypothesis import settings

from tests.calls import write_calls

pytest_plugins = ("tests.seaweedfs",)

# How long an example takes says nothing on a machine that is busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Let no command take settings from the usual places of this machine."""
    os.environ["PDS_ENV_FILE"] = os.devnull


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` starts: a third of the time is spent waiting for servers."""
    return (os.cpu_count() or 1) + 1


def pytest_sessionfinish() -> None:
    """Every process of a run leaves the calls that it has seen."""
    write_calls()
