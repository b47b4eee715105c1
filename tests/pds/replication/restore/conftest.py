"""A replica of the data that the reference PDS has written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pds.replication.real_litestream import in_directory, running_litestream
from tests.pds.replication.restore.origin import Origin, make_origin


@pytest.fixture(scope="package")
def first_origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """Made once, and not to be changed."""
    directory = tmp_path_factory.mktemp("origin")
    with running_litestream(in_directory(directory / "replica")) as litestream:
        yield make_origin(directory, litestream)


@pytest.fixture
def origin(first_origin: Origin, tmp_path: Path) -> Origin:
    """A replica that may be damaged."""
    shutil.copytree(first_origin.replica, tmp_path / "replica")
    return Origin(first_origin.data, tmp_path / "replica")
