"""The arrows between packages and rooms: they run downwards only, as ARCHITECTURE.md draws them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
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

ROOMS: tuple[frozenset[str], ...] = (
    frozenset({"reporting", "translations"}),
    frozenset({"config", "jose", "monitoring.logs"}),
    frozenset({"fairness", "peers"}),
    frozenset({"accounts"}),
    frozenset({"disk", "mail", "monitoring.requests", "second_factors", "service_auth"}),
    frozenset({"pending", "rate_limits"}),
    frozenset({"crawlers", "hold_document", "monitoring.health", "oauth", "opening"}),
    frozenset({"administration"}),
    frozenset({"read_context"}),
    frozenset({"context"}),
    frozenset({"repos"}),
    frozenset({"lifecycle"}),
    frozenset({"recovery", "xrpc"}),
    frozenset({"proxy"}),
    frozenset({"read_after_write"}),
    frozenset({"api"}),
    frozenset({"entryway"}),
    frozenset({"web"}),
    frozenset({"hold", "replication"}),
    frozenset({"metrics"}),
    frozenset({"server"}),
    frozenset({"car", "dev", "doctor"}),
    frozenset({"readonly"}),
    frozenset({"cli"}),
)
"""The rooms of `pds` from the bottom up: each imports rooms of lower lines only."""

LOOK_AT_REQUESTS: tuple[str, ...] = (
    "pds.fairness.long_answers",
    "pds.fairness.presence",
    "pds.monitoring.requests.",
    "pds.rate_limits.",
)
"""The modules below `xrpc` that know HTTP: they count requests, or notice clients that leave."""

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


def _name_of(path: Path) -> str:
    """The dotted name of a module or, for its `__init__.py`, of a package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported_modules(path: Path, modules: AbstractSet[str]) -> Iterator[str]:
    """The modules among `modules` that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in modules else node.module


def _import_graph() -> dict[str, set[str]]:
    """Every module of the product, and the modules that it imports."""
    paths = {_name_of(path): path for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    return {
        name: {found for found in _imported_modules(path, paths.keys()) if found in paths} - {name}
        for name, path in paths.items()
    }


def _room_of(module: str) -> str:
    """The room of `pds` that a module is in; empty for the package itself."""
    rooms = frozenset().union(*ROOMS)
    below = module.removeprefix("pds").removeprefix(".")
    two, one = ".".join(below.split(".")[:2]), below.partition(".")[0]
    return two if two in rooms else one


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


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(_import_graph()).prepare()
    except CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))


def test_the_rooms_of_pds_import_lower_rooms_only() -> None:
    floor = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}
    wrong = [
        f"{importer} imports {imported}"
        for importer, found in _import_graph().items()
        if importer.startswith("pds.") and importer not in ("pds.__main__", "pds.monitoring")
        for imported in sorted(found)
        if imported.startswith("pds.")
        and _room_of(importer) != _room_of(imported)
        and floor[_room_of(importer)] <= floor[_room_of(imported)]
    ]
    assert wrong == []


def test_the_parts_of_the_hold_import_each_other_in_one_direction() -> None:
    parts: dict[str, set[str]] = {}
    for importer, found in _import_graph().items():
        if importer.startswith("pds.hold."):
            part = importer.split(".")[2]
            others = {name.split(".")[2] for name in found if name.startswith("pds.hold.")}
            parts.setdefault(part, set()).update(others - {part})
    try:
        TopologicalSorter(parts).prepare()
    except CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))


def test_packages_above_several_rooms_import_none() -> None:
    graph = _import_graph()
    assert graph["pds"] == graph["pds.monitoring"] == set()


def test_rooms_below_xrpc_know_no_http() -> None:
    (xrpc,) = (height for height, rooms in enumerate(ROOMS) if "xrpc" in rooms)
    below = frozenset().union(*ROOMS[:xrpc], {"recovery"})
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sorted((ROOT / "pds").rglob("*.py"))
        if _room_of(_name_of(path)) in below and not _name_of(path).startswith(LOOK_AT_REQUESTS)
        for line, module in _imports(path)
        if module.partition(".")[0] == "aiohttp"
    ]
    assert wrong == []


def test_every_room_has_its_place() -> None:
    found = {_room_of(name) for name in _import_graph() if name.startswith("pds.")}
    assert found - {"__main__", "monitoring"} == frozenset().union(*ROOMS)


def test_the_architecture_lists_the_rooms_from_the_top_down() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    listed = text.partition("### The rooms of `pds`")[2].partition("## ")[0]
    places = {room: listed.find(f"`{room.replace('.', '/')}") for rooms in ROOMS for room in rooms}
    assert [room for room, place in places.items() if place < 0] == []
    floors = [[places[room] for room in rooms] for rooms in reversed(ROOMS)]
    for upper, lower in pairwise(floors):
        assert max(upper) < min(lower)


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

    Turns and signed tokens are as low as that, and know no more of HTTP.
    """
    allowed = ("pds.accounts", "pds.fairness.per_process", "pds.fairness.turns", "pds.jose")
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
