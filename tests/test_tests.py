"""Tests that can fail: each says what has to be so, itself or through a helper that does."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from tests.reference.install import INSTALLED

TESTS: Final = Path(__file__).parent
_CHECKING: Final = ("assert_", "check_", "expect_")
"""How helpers are called that do nothing but check."""
_PYTEST: Final = frozenset(("raises", "warns", "fail"))

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def test_every_test_can_fail() -> None:
    paths = [path for path in sorted(TESTS.rglob("*.py")) if INSTALLED.name not in path.parts]
    modules = {_name_of(path): _read(path) for path in paths}
    idle = [
        f"{name}:{function.lineno} {function.name}"
        for name, module in modules.items()
        for function in module.functions.values()
        if function.name.startswith("test_") and not _checks(function, module, modules)
    ]
    assert idle == []


@dataclass(slots=True)
class _Module:
    functions: dict[str, Function] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Module and name of what was imported from the tests."""


def _name_of(path: Path) -> str:
    return ".".join(("tests", *path.relative_to(TESTS).with_suffix("").parts))


def _read(path: Path) -> _Module:
    module = _Module()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            module.functions[node.name] = node
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            for alias in node.names:
                module.imported[alias.asname or alias.name] = (str(node.module), alias.name)
    return module


def _checks(function: Function, module: _Module, modules: Mapping[str, _Module]) -> bool:
    """Whether a function asserts, or calls a helper of the tests that does."""
    if _asserts(function):
        return True
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place, name = module.imported.get(node.func.id, ("", node.func.id))
            helpers = modules.get(place, module)
            if (helper := helpers.functions.get(name)) is not None and _asserts(helper):
                return True
    return False


def _asserts(function: Function) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in _PYTEST or name.startswith(_CHECKING):
                return True
    return False
