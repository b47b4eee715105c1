"""Lexicon documents of our own, beside the official ones: a JSON file each, named by its NSID.

CONTRIBUTING.md tells how one is used.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def own_documents() -> list[dict[str, Any]]:
    """Every document of this package, in the order of their names."""
    found = sorted(files(__name__).iterdir(), key=lambda file: file.name)
    return [json.loads(file.read_bytes()) for file in found if file.name.endswith(".json")]
