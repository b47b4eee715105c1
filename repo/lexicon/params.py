"""Query parameters: conversion of text pairs to typed values by a method's schema.

Spec: https://atproto.com/specs/xrpc#lexicon-http-endpoints
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from repo.lexicon.containers import Compiler
from repo.lexicon.errors import Check, missing_key, wrong_type
from repo.lexicon.leaves import Schema

Scalar: TypeAlias = bool | int | str
Params: TypeAlias = dict[str, "Scalar | list[Scalar]"]

_INTEGER: Final = re.compile(r"-?[0-9]{1,100}").fullmatch
_BRACKETS: Final = re.compile(r"\[[0-9]{0,4}\]\Z")
_ABSENT: Final = object()

BRACKETED_METHODS: Final = frozenset(
    (
        "app.bsky.actor.getProfiles",
        "app.bsky.feed.getTimeline",
        "app.bsky.feed.getPostThread",
    )
)
"""Methods for which old clients write arrays as `key[]=` or `key[0]=`."""


@dataclass(slots=True, frozen=True)
class _Param:
    name: str
    kind: str
    """The type of the value, or of an array's items."""
    is_array: bool
    is_required: bool
    default: Any
    check: Check


class ParamsSchema:
    """The compiled parameters of one method."""

    def __init__(self, nsid: str, schema: Schema, compiler: Compiler) -> None:
        """`schema` is the `parameters` object of the method `nsid`, or empty."""
        required = frozenset(schema.get("required", ()))
        self._params = [
            _param(name, property_, name in required, compiler.compile(property_, nsid))
            for name, property_ in schema.get("properties", {}).items()
        ]
        self._coercions: Mapping[str, Callable[[str], Scalar]] = {
            param.name: _COERCIONS[param.kind] for param in self._params
        }
        self._has_brackets = nsid in BRACKETED_METHODS

    def parse(self, pairs: Iterable[tuple[str, str]]) -> Params:
        """Return the known parameters, with defaults filled in. Raises `Mismatch`.

        An empty value counts as absent.
        """
        given: dict[str, list[Scalar]] = {}
        for name, text in pairs:
            if self._has_brackets:
                name = _BRACKETS.sub("", name)
            coerce = self._coercions.get(name)
            if coerce is not None and text:
                given.setdefault(name, []).append(coerce(text))
        parsed: Params = {}
        for param in self._params:
            values = given.get(param.name)
            if values is None:
                if param.default is not _ABSENT:
                    parsed[param.name] = param.default
                elif param.is_required:
                    raise missing_key(param.name)
                continue
            if not param.is_array and len(values) > 1:
                raise wrong_type(param.kind, values)
            value = values if param.is_array else values[0]
            param.check(value, 0)
            parsed[param.name] = value
        return parsed


def _param(name: str, schema: Schema, is_required: bool, check: Check) -> _Param:
    is_array = schema["type"] == "array"
    return _Param(
        name=name,
        kind=schema["items"]["type"] if is_array else schema["type"],
        is_array=is_array,
        is_required=is_required,
        default=schema.get("default", _ABSENT),
        check=check,
    )


def _integer(text: str) -> int:
    if _INTEGER(text) is None:
        raise wrong_type("integer", text)
    return int(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise wrong_type("boolean", text)
    return text == "true"


_COERCIONS: Final[Mapping[str, Callable[[str], Scalar]]] = {
    "integer": _integer,
    "boolean": _boolean,
    "string": str,
}
