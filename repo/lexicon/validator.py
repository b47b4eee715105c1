"""lexrpc with our checks: its schemas and its `validate`, our strictness and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lexrpc.base import Base

from repo.lexicon.containers import Compiler
from repo.lexicon.errors import Check
from repo.lexicon.leaves import Schema


class Validator(Base):  # type: ignore[misc] # lexrpc ships no types
    """A lexrpc `Base` that compiles each schema once and raises `Mismatch`.

    lexrpc itself interprets the schema anew for every value, validates an `unknown` against any
    lexicon it names, ignores a blob's `accept`, and quotes the offending value.
    """

    defs: dict[str, Schema]

    def __init__(
        self,
        documents: Sequence[Mapping[str, Any]] | None = None,
        *,
        own: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Load `documents`, or all that lexrpc bundles if None, and `own` in addition."""
        super().__init__(documents)
        if own:
            self.defs |= Base(own).defs
        self.compiler = Compiler(self.defs)
        self._compiled: dict[tuple[str, str], Check] = {}

    def _validate_schema(
        self,
        *,
        name: str,
        val: object,
        type_name: str,
        lexicon: str,
        schema: Schema,
        ignore: Sequence[str] = (),
    ) -> None:
        """Override the hook that `validate` calls for an input, output, message or record."""
        check = self._compiled.get((lexicon, name))
        if check is None:
            check = self.compiler.compile(schema, lexicon)
            self._compiled[lexicon, name] = check
        check(val, 0)
