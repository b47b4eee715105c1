"""The arrows between packages: they run downwards only, as ARCHITECTURE.md draws them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"repo"}),
    frozenset({"database"}),
    frozenset({"actor_store", "sequencer", "identity"}),
    frozenset({"pds", "discovery"}),
)
"""From the bottom up."""

ALLOWED: dict[str, frozenset[str]] = {
    "repo": frozenset(),
    "database": frozenset({"repo"}),
    "actor_store": frozenset({"repo", "database"}),
    "sequencer": frozenset({"repo", "database"}),
    "identity": frozenset({"repo", "database"}),
    "pds": frozenset({"repo", "database", "actor_store", "sequencer", "identity"}),
    "discovery": frozenset({"repo", "database", "identity"}),
}
"""What each package may import besides itself."""

FOREIGN: dict[str, frozenset[str]] = {
    "repo": frozenset(
        (
            *("aiohttp", "apsw", "asyncio", "logging", "os", "random"),
            *("secrets", "socket", "sqlite3", "structlog", "time"),
        )
    ),
    "database": frozenset({"aiohttp"}),
    "actor_store": frozenset({"aiohttp"}),
    "sequencer": frozenset({"aiohttp"}),
}
"""Modules that a package does without: repo is pure, storage knows no HTTP."""

PACKAGES = [name for name in ALLOWED if (ROOT / name).is_dir()]


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import in a file, also inside functions and TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def _imports_of(package: str) -> Iterator[tuple[str, str]]:
    """`file:line` and the top-level module of every import of a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for line, module in _imports(path):
            yield f"{path.relative_to(ROOT)}:{line}", module.partition(".")[0] or module


def test_the_table_agrees_with_the_layers() -> None:
    for height, layer in enumerate(LAYERS):
        below = frozenset().union(*LAYERS[:height])
        for package in layer:
            assert ALLOWED[package] <= below, f"{package} may import its own layer or one above"
    assert frozenset().union(*LAYERS) == ALLOWED.keys()


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_follow_the_arrows(package: str) -> None:
    allowed = ALLOWED[package] | {package}
    wrong = [
        f"{place} imports {module}"
        for place, module in _imports_of(package)
        if module in ALLOWED and module not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "layer",
    [layer for layer in LAYERS if len(layer) > 1],
    ids=lambda layer: "+".join(sorted(layer)),
)
def test_packages_of_one_layer_do_not_import_each_other(layer: frozenset[str]) -> None:
    wrong = [
        f"{place} imports {module}"
        for package in sorted(layer.intersection(PACKAGES))
        for place, module in _imports_of(package)
        if module in layer - {package}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", FOREIGN)
def test_packages_do_without_what_they_know_nothing_of(package: str) -> None:
    wrong = [
        f"{place} imports {module}"
        for place, module in _imports_of(package)
        if module in FOREIGN[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_are_absolute_and_never_of_tests(package: str) -> None:
    wrong = [
        f"{place} imports {module}"
        for place, module in _imports_of(package)
        if module.startswith(".") or module in {"tests", "benchmarks"}
    ]
    assert wrong == []


def test_accounts_know_nothing_of_http_or_other_parts_of_the_server() -> None:
    """pds.accounts is the service database; XRPC maps its errors, not the other way round.

    Turns are as low as that, and know no more of HTTP: hashing passwords is handed out in them.
    """
    allowed = ("pds.accounts", "pds.fairness.turns")
    wrong = [
        f"{path.name}:{line} imports {module}"
        for path in sorted((ROOT / "pds" / "accounts").glob("*.py"))
        for line, module in _imports(path)
        if module.startswith("aiohttp")
        or (module.startswith("pds.") and not module.startswith(allowed))
    ]
    assert wrong == []


def test_every_package_of_the_distribution_is_in_the_table() -> None:
    """A new package has to be given its place."""
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found - {"tests", "benchmarks"} == set(PACKAGES)


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {"utils", "util", "common", "misc", "helpers"}
    assert [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.stem in names
    ] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_imported_by_wildcard(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert [alias.name for alias in node.names] != ["*"], path
