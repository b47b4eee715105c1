"""Checks of Lexicon documents themselves, before their schemas are compiled.

Spec: https://atproto.com/specs/lexicon
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from repo.lexicon.errors import InvalidLexicon, Mismatch, missing_key, not_one_of, wrong_type
from repo.lexicon.formats import FORMATS
from repo.syntax import InvalidSyntax, parse_nsid

MAX_SCHEMA_DEPTH: Final = 32
"""Levels of nested schemas in one definition."""

RECORD_KEYS: Final = ("tid", "nsid", "any")
"""Kinds of record key, besides `literal:<key>`."""

_LITERAL_KEY: Final = re.compile(r"literal:[A-Za-z0-9_~.:-]{1,512}").fullmatch
_DEF_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,255}").fullmatch

_PRIMARY_TYPES: Final = frozenset(
    ("record", "query", "procedure", "subscription", "permission-set", "space")
)
"""Types allowed only as `main`."""
_LEAF_TYPES: Final = frozenset(
    ("null", "boolean", "integer", "string", "bytes", "cid-link", "blob")
)
_DEFINABLE_TYPES: Final = _LEAF_TYPES | _PRIMARY_TYPES | {"token", "object", "array"}
_FIELD_TYPES: Final = _LEAF_TYPES | {"object", "array", "ref", "union", "unknown"}
_PARAM_TYPES: Final = frozenset(("boolean", "integer", "string"))
_BODY_TYPES: Final = frozenset(("object", "ref", "union"))

_BOUNDS: Final = (
    *("minimum", "maximum", "minLength", "maxLength", "minGraphemes", "maxGraphemes", "maxSize"),
)


def check_document(document: object) -> None:
    """Raise `InvalidLexicon` unless `document` is a well-formed Lexicon document."""
    try:
        _document(document)
    except Mismatch as mismatch:
        raise InvalidLexicon(
            f"Invalid lexicon document: {mismatch.at('$')}", reason=mismatch.reason
        ) from mismatch


def _document(document: object) -> None:
    doc = _object(document)
    if type(doc.get("lexicon")) is not int or doc["lexicon"] != 1:
        raise not_one_of([1], doc.get("lexicon"), ".lexicon")
    nsid = _member(doc, "id", str)
    try:
        parse_nsid(nsid)
    except InvalidSyntax as exc:
        raise Mismatch(str(exc), ".id") from exc
    for name, definition in _member(doc, "defs", dict).items():
        if type(name) is not str or _DEF_NAME(name) is None:
            raise Mismatch("Invalid definition name", ".defs")
        _inside(f".defs.{name}", _definition, definition, is_main=name == "main")


def _definition(value: object, *, is_main: bool) -> None:
    schema = _object(value)
    kind = _kind(schema, _DEFINABLE_TYPES)
    if kind in _PRIMARY_TYPES and not is_main:
        raise Mismatch(f'Only "main" may be of type "{kind}"', ".type")
    match kind:
        case "record":
            _record(schema)
        case "query" | "procedure" | "subscription":
            _method(schema)
        case "permission-set":
            _permission_set(schema)
        case "token" | "space":
            pass
        case _:
            _field(schema, 0)


def _record(schema: Mapping[str, Any]) -> None:
    key = _member(schema, "key", str)
    if key not in RECORD_KEYS and _LITERAL_KEY(key) is None:
        raise not_one_of([*RECORD_KEYS, "literal:*"], key, ".key")
    record = _member(schema, "record", dict)
    _inside(".record", _kind, record, frozenset(("object",)))
    _inside(".record", _field, record, 0)


def _method(schema: Mapping[str, Any]) -> None:
    if "parameters" in schema:
        _inside(".parameters", _parameters, schema["parameters"])
    for part in ("input", "output"):
        if part in schema:
            _inside(f".{part}", _body, schema[part])
            _inside(f".{part}", _member, schema[part], "encoding", str)
    if "message" in schema:
        _inside(".message", _body, schema["message"])
    errors = _member(schema, "errors", list) if "errors" in schema else []
    for index, error in enumerate(errors):
        _inside(f".errors[{index}]", _member, error, "name", str)


def _parameters(value: object) -> None:
    schema = _object(value)
    _kind(schema, frozenset(("params",)))
    _properties(schema, 0)
    for name, property_ in schema.get("properties", {}).items():
        _inside(f".properties.{name}", _kind, property_, _PARAM_TYPES | {"array"})
        if property_["type"] == "array":
            _inside(f".properties.{name}.items", _kind, property_["items"], _PARAM_TYPES)


def _body(value: object) -> None:
    body = _object(value)
    if "schema" in body:
        _inside(".schema", _kind, body["schema"], _BODY_TYPES)
        _inside(".schema", _field, body["schema"], 0)


def _permission_set(schema: Mapping[str, Any]) -> None:
    for index, permission in enumerate(_member(schema, "permissions", list)):
        _inside(f".permissions[{index}]", _permission, permission)


def _permission(value: object) -> None:
    permission = _object(value)
    _kind(permission, frozenset(("permission",)))
    _member(permission, "resource", str)


def _field(value: object, depth: int) -> None:
    """Check the schema of a value: a field, an item, or a definition that others refer to."""
    schema = _object(value)
    if depth >= MAX_SCHEMA_DEPTH:
        raise Mismatch(f"Nested deeper than {MAX_SCHEMA_DEPTH} levels")
    kind = _kind(schema, _FIELD_TYPES)
    for bound in _BOUNDS:
        if bound in schema:
            _member(schema, bound, int)
    for names in ("enum", "knownValues", "accept"):
        if names in schema:
            _member(schema, names, list)
    match kind:
        case "string" if "format" in schema:
            if (name := _member(schema, "format", str)) not in FORMATS:
                raise not_one_of(FORMATS, name, ".format")
        case "object":
            _properties(schema, depth)
        case "array":
            _inside(".items", _field, _member(schema, "items", dict), depth + 1)
        case "ref":
            _member(schema, "ref", str)
        case "union":
            _strings(schema, "refs")


def _properties(schema: Mapping[str, Any], depth: int) -> None:
    properties = _member(schema, "properties", dict) if "properties" in schema else {}
    for name, property_ in properties.items():
        _inside(f".properties.{name}", _field, property_, depth + 1)
    for names in ("required", "nullable"):
        if names in schema:
            _strings(schema, names)


def _strings(schema: Mapping[str, Any], name: str) -> None:
    for index, item in enumerate(_member(schema, name, list)):
        if type(item) is not str:
            raise wrong_type("string", item, f"[{index}]", f".{name}")


def _kind(value: object, allowed: frozenset[str]) -> str:
    kind = _member(value, "type", str)
    if kind not in allowed:
        raise not_one_of(sorted(allowed), kind, ".type")
    return str(kind)


_TYPE_NAMES: Final = {str: "string", dict: "object", list: "array", int: "integer"}


def _member(value: object, name: str, type_: type) -> Any:
    schema = _object(value)
    if name not in schema:
        raise missing_key(name)
    member = schema[name]
    if type(member) is not type_:
        raise wrong_type(_TYPE_NAMES[type_], member, f".{name}")
    return member


def _object(value: object) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise wrong_type("object", value)
    return value


def _inside(segment: str, check: Callable[..., object], *args: object, **kwargs: object) -> None:
    try:
        check(*args, **kwargs)
    except Mismatch as mismatch:
        mismatch.add(segment)
        raise
