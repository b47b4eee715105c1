"""The clients from npm and a Node that runs them, installed once below this directory."""

from __future__ import annotations

import fcntl
import os
import shutil
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


def installed_clients() -> Path:
    """The directory with `node_modules` and our scripts.

    Skips the test where the packages cannot be had.
    """
    named = os.environ.get("HOLDFAST_OAUTH_CLIENTS_DIR")
    directory = Path(named).resolve() if named else INSTALLED
    directory.mkdir(parents=True, exist_ok=True)
    # Tests run in several processes.
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed(directory, SOURCES):
            try:
                install_packages(directory, SOURCES)
            except InstallFailed as exc:
                pytest.skip(f"the clients cannot be had from npm: {exc}")
        for script in SOURCES.glob("*.mjs"):
            shutil.copy(script, directory)
    return directory


def node(directory: Path) -> str:
    """The program that runs scripts."""
    return str(node_program(directory))
