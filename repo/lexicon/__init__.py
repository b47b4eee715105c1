"""Lexicon: the schemas of methods and records, and the checks they ask for.

The schemas come from lexrpc, and are loaded by the first `default_lexicons()`.
Spec: https://atproto.com/specs/lexicon
"""

from __future__ import annotations

from repo.lexicon.errors import InvalidLexicon
from repo.lexicon.lexicons import Lexicons, MethodSchema, default_lexicons

__all__ = ["InvalidLexicon", "Lexicons", "MethodSchema", "default_lexicons"]
