"""The reference PDS for the tests beside it: installed, or the tests are skipped."""

from __future__ import annotations

import pytest

from tests.reference.install import is_installed, reference_directory
from tests.reference.server import Reference


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The reference PDS, ready to be started."""
    directory = reference_directory()
    if not is_installed(directory):
        pytest.skip("the reference PDS is not installed; `make conformance` installs and runs it")
    return Reference.prepare(directory, tmp_path_factory.mktemp("reference") / "scripts")
