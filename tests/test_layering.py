"""Which package may import which: the arrows of ARCHITECTURE.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]

ALLOWED: Final = {
    "repo": set[str](),
    "database": {"repo"},
    "actor_store": {"repo", "database"},
    "sequencer": {"repo", "database"},
    "identity": {"repo", "database"},
    "pds": {"repo", "database", "actor_store", "sequencer", "identity"},
}
"""Package to the other packages of ours that it may import."""

NO_INPUT_OR_OUTPUT: Final = {
    "aiohttp", "apsw", "asyncio", "dns", "logging", "random", "secrets", "socket", "sqlite3",
    "structlog", "subprocess", "time",
}  # fmt: skip
"""What `repo` does without: it takes values and returns values."""


def imports_of(package: str) -> Iterator[tuple[Path, str]]:
    """Each module of a package with the top-level package of each of its imports."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                yield path, (node.module or "").partition(".")[0]


def test_every_package_has_its_floor() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests", "benchmarks"} == set(ALLOWED)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_follow_the_arrows(package: str) -> None:
    ours = {*ALLOWED, "tests", "benchmarks"}
    forbidden = ours - ALLOWED[package] - {package}
    assert [found for found in imports_of(package) if found[1] in forbidden] == []


def test_formats_do_no_input_or_output() -> None:
    assert [found for found in imports_of("repo") if found[1] in NO_INPUT_OR_OUTPUT] == []
