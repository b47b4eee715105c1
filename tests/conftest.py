"""Hooks of the whole suite."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.calls import write_calls
from tests.known_passwords import remember_hashes
from tests.warm_python import WARM

pytest_plugins = ("tests.seaweedfs", "tests.syncs")

# How long an example takes says nothing on a machine that is busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Let no command take settings from the usual places of this machine; hash passwords once."""
    os.environ["PDS_ENV_FILE"] = os.devnull
    remember_hashes()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage never look at the thousands of tests, which all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` starts: a third of the time is spent waiting for servers."""
    return (os.cpu_count() or 1) + 1


def pytest_sessionfinish() -> None:
    """Every process of a run leaves the calls that it has seen, and no other process."""
    write_calls()
    WARM.close()
