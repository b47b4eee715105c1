"""Checks of scalar values: strings, integers, bytes, links and blobs.

Spec: https://atproto.com/specs/lexicon#field-type-definitions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import grapheme  # type: ignore[import-untyped] # lexrpc's own counter, which ships no types

from repo.cid import Cid
from repo.lexicon.errors import (
    Check,
    Mismatch,
    not_one_of,
    wrong_secret,
    wrong_type,
)
from repo.lexicon.formats import FORMATS
from repo.syntax import InvalidSyntax

Schema: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Any], None]
"""A check of a value whose type has already been checked."""

MAX_INTEGER: Final = 2**53 - 1
"""Largest magnitude of an integer that every JSON implementation preserves."""

_BLOB_KEYS: Final = frozenset(("$type", "ref", "mimeType", "size"))


def leaf_check(schema: Schema, *, secret: bool = False) -> Check | None:
    """Compile the schema of a scalar value; return None for any other schema.

    `secret` keeps a string's value out of messages.
    """
    kind = schema["type"]
    if kind == "string":
        return _string_check(schema, secret=secret)
    if kind == "integer":
        return _integer_check(schema)
    if kind == "blob":
        return _blob_check(schema)
    if kind == "unknown":
        return _check_unknown
    if kind in _PLAIN_TYPES:
        return _plain_check(kind, _PLAIN_TYPES[kind], _rules(schema))
    return None


def is_blob(value: object) -> bool:
    """Whether `value` is a typed blob reference with exactly the four fields."""
    return (
        type(value) is dict
        and value.keys() == _BLOB_KEYS
        and value["$type"] == "blob"
        and type(value["ref"]) is Cid
        and type(value["mimeType"]) is str
        and "/" in value["mimeType"]
        and type(value["size"]) is int
        and 0 <= value["size"] <= MAX_INTEGER
    )


def _string_check(schema: Schema, *, secret: bool) -> Check:
    rules = _rules(schema)

    def check(value: Any, depth: int) -> None:
        if type(value) is not str:
            raise wrong_secret(value) if secret else wrong_type("string", value)
        for rule in rules:
            rule(value)

    return check


def _integer_check(schema: Schema) -> Check:
    rules = _rules(schema)

    def check(value: Any, depth: int) -> None:
        if type(value) is not int or not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise wrong_type("integer", value)
        for rule in rules:
            rule(value)

    return check


_PLAIN_TYPES: Final[Mapping[str, type]] = {
    "null": type(None),
    "boolean": bool,
    "bytes": bytes,
    "cid-link": Cid,
}


def _plain_check(kind: str, type_: type, rules: Sequence[Rule]) -> Check:
    name = kind.removesuffix("-link")

    def check(value: Any, depth: int) -> None:
        if type(value) is not type_:
            raise wrong_type(name, value)
        for rule in rules:
            rule(value)

    return check


def _check_unknown(value: Any, depth: int) -> None:
    # Checks only the shape: `validate_record` checks an embedded record against its own lexicon.
    if type(value) is not dict:
        raise wrong_type("object", value)
    if value.get("$type") == "blob" and is_blob(value):
        raise Mismatch("Expected object value type (got blob)")


def _blob_check(schema: Schema) -> Check:
    accept: list[str] | None = schema.get("accept")
    max_size: int | None = schema.get("maxSize")

    def check(value: Any, depth: int) -> None:
        if not is_blob(value):
            raise wrong_type("blob", value)
        if accept and not _is_accepted(value["mimeType"], accept):
            raise not_one_of(accept, value["mimeType"], ".mimeType")
        if max_size is not None and value["size"] > max_size:
            raise _too_big("blob", max_size, value["size"])

    return check


def _is_accepted(mime_type: str, accept: Sequence[str]) -> bool:
    top_level = mime_type.partition("/")[0]
    return mime_type in accept or f"{top_level}/*" in accept or "*/*" in accept


def _rules(schema: Schema) -> tuple[Rule, ...]:
    """Return a schema's constraints beyond its type, in the order they are reported."""
    return tuple(
        _RULES[name](schema[name], schema)
        for name in _RULES_OF_TYPE[schema["type"]]
        if name in schema
    )


def _const(expected: object, _: Schema) -> Rule:
    return _enum([expected], _)


def _enum(allowed: Sequence[object], _: Schema) -> Rule:
    def rule(value: object) -> None:
        if value not in allowed:
            raise not_one_of(allowed, value)

    return rule


def _minimum(minimum: int, _: Schema) -> Rule:
    def rule(value: int) -> None:
        if value < minimum:
            raise _too_small("integer", minimum, value)

    return rule


def _maximum(maximum: int, _: Schema) -> Rule:
    def rule(value: int) -> None:
        if value > maximum:
            raise _too_big("integer", maximum, value)

    return rule


def _min_length(minimum: int, schema: Schema) -> Rule:
    def rule(value: str | bytes) -> None:
        if (size := _size_bytes(value)) < minimum:
            raise _too_small(schema["type"], minimum, size)

    return rule


def _max_length(maximum: int, schema: Schema) -> Rule:
    def rule(value: str | bytes) -> None:
        # A character takes at most four bytes, so a short text need not be encoded.
        if len(value) * 4 > maximum and (size := _size_bytes(value)) > maximum:
            raise _too_big(schema["type"], maximum, size)

    return rule


def _min_graphemes(minimum: int, _: Schema) -> Rule:
    def rule(value: str) -> None:
        if (count := _graphemes(value)) < minimum:
            raise _too_small("grapheme", minimum, count)

    return rule


def _max_graphemes(maximum: int, _: Schema) -> Rule:
    def rule(value: str) -> None:
        # A text has no more graphemes than code points, and counting graphemes is slow.
        if len(value) > maximum and (count := _graphemes(value)) > maximum:
            raise _too_big("grapheme", maximum, count)

    return rule


def _format(name: str, _: Schema) -> Rule:
    parse = FORMATS[name]

    def rule(value: str) -> None:
        try:
            parse(value)
        except InvalidSyntax as exc:
            raise Mismatch(str(exc)) from exc

    return rule


_RULES: Final[Mapping[str, Callable[[Any, Schema], Rule]]] = {
    "const": _const,
    "enum": _enum,
    "minimum": _minimum,
    "maximum": _maximum,
    "minLength": _min_length,
    "maxLength": _max_length,
    "minGraphemes": _min_graphemes,
    "maxGraphemes": _max_graphemes,
    "format": _format,
}


# Sizes come before the slower checks, which may then rely on them.
_RULES_OF_TYPE: Final[Mapping[str, Sequence[str]]] = {
    "string": (
        *("const", "enum", "minLength", "maxLength", "minGraphemes", "maxGraphemes", "format"),
    ),
    "integer": ("const", "enum", "minimum", "maximum"),
    "boolean": ("const",),
    "bytes": ("minLength", "maxLength"),
    "cid-link": (),
    "null": (),
}


def _size_bytes(value: str | bytes) -> int:
    if isinstance(value, bytes) or value.isascii():
        return len(value)
    return len(value.encode("utf-8", "surrogatepass"))


def _graphemes(text: str) -> int:
    if text.isascii():
        return len(text) - text.count("\r\n")
    count: int = grapheme.length(text)
    return count


def _too_small(what: str, minimum: int, actual: int) -> Mismatch:
    return Mismatch(f"{what} too small (minimum {minimum}, got {actual})")


def _too_big(what: str, maximum: int, actual: int) -> Mismatch:
    return Mismatch(f"{what} too big (maximum {maximum}, got {actual})")
