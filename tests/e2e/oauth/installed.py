"""The clients from npm and a Node that runs them, installed once below this directory."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Final

import pytest

from tests.reference.install import (
    InstallFailed,
    install_packages,
    is_installed,
    node_program,
)

SOURCES: Final = Path(__file__).parent / "npm"
INSTALLED: Final = Path(__file__).parent / ".installed"
"""Where the packages are, unless HOLDFAST_OAUTH_CLIENTS_DIR names another installation."""

_PATIENCE_S: Final = 50
"""For each of two steps, within the time that a test has."""


def installed_clients() -> Path:
    """The directory with `node_modules` and our scripts.

    Skips the test where the packages cannot be had.
    """
    named = os.environ.get("HOLDFAST_OAUTH_CLIENTS_DIR")
    directory = Path(named).resolve() if named else INSTALLED
    directory.mkdir(parents=True, exist_ok=True)
    failure, asked_at = directory / "failure", time.time()
    # Tests run in several processes.
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if failure.exists() and failure.stat().st_mtime >= asked_at:
            pytest.skip(failure.read_text())
        if not is_installed(directory, SOURCES):
            try:
                install_packages(directory, SOURCES, patience_s=_PATIENCE_S)
            except InstallFailed as exc:
                failure.write_text(f"the clients cannot be had from npm: {exc}")
                pytest.skip(failure.read_text())
        for script in SOURCES.glob("*.mjs"):
            shutil.copy(script, directory)
    return directory


def node(directory: Path) -> str:
    """The program that runs scripts."""
    return str(node_program(directory))
