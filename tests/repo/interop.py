"""The protocol's published test vectors, which are in tests/fixtures/interop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

INTEROP = Path(__file__).parents[1] / "fixtures" / "interop"


def vectors(path: str) -> Any:
    """Load the JSON file at `path` below the vectors."""
    return json.loads((INTEROP / path).read_bytes())


def vector_lines(path: str) -> list[str]:
    """Read the vectors of a text file, one a line, without empty lines and comments."""
    lines = (INTEROP / path).read_text("utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("#")]
