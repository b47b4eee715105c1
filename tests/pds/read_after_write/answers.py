"""What a server answers, against the Lexicon that describes it."""

from __future__ import annotations

from functools import cache
from typing import Any

from repo.datamodel import from_json
from repo.lexicon.validator import Validator

_official = cache(Validator)


def check_answer(nsid: str, body: Any) -> None:
    """Raise `Mismatch` unless the JSON `body` is one that the method may answer with."""
    _official().validate(nsid, "output", from_json(body))
