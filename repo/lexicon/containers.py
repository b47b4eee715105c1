"""Checks of objects and arrays, and of the references and unions that choose among schemas.

Spec: https://atproto.com/specs/lexicon#field-type-definitions
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from repo.lexicon.errors import Check, Mismatch, missing_key, not_one_of, wrong_type
from repo.lexicon.leaves import Schema, leaf_check

MAX_DEPTH: Final = 128
"""Levels of nested objects and arrays that are checked."""

_TYPED_OBJECT: Final = 'an object which includes the "$type" property'
_MISSING: Final = object()
_SECRET_WORDS: Final = ("password", "token", "jwt", "secret")


class Compiler:
    """Compiles schemas into checks, each definition once."""

    def __init__(self, defs: Mapping[str, Schema]) -> None:
        """`defs` has every definition by its full name: `nsid` or `nsid#name`."""
        self._defs = defs
        self._checks: dict[str, Check | None] = {}
        # Large records are checked in a thread; no other thread may see the None placeholder.
        self._lock = threading.RLock()

    def compile(self, schema: Schema, nsid: str, *, secret: bool = False) -> Check:
        """Compile a schema of the document `nsid`; a reference like `#name` is relative to it."""
        leaf = leaf_check(schema, secret=secret)
        if leaf is not None:
            return leaf
        match schema["type"]:
            case "object":
                return self._object(schema, nsid)
            case "array":
                return self._array(schema, nsid, secret=secret)
            case "ref":
                return self._definition(full_name(schema["ref"], nsid))
            case "union":
                return self._union(schema, nsid)
            case kind:
                return _refusal(f"Unknown schema type {kind!r}")

    def _definition(self, name: str) -> Check:
        with self._lock:
            if name not in self._checks:
                # None marks a definition that is being compiled, because it may contain itself.
                self._checks[name] = None
                self._checks[name] = self._compile_definition(name)
            return self._checks[name] or self._deferred(name)

    def _compile_definition(self, name: str) -> Check:
        schema = self._defs.get(name)
        if schema is None:
            return _refusal(f"Unknown lexicon type: {name}")
        if schema["type"] == "token":
            return _token(name)
        if schema["type"] == "record":
            schema = schema["record"]
        check = self.compile(schema, name.partition("#")[0])
        return _named(name, check) if schema["type"] == "object" else check

    def _deferred(self, name: str) -> Check:
        def check(value: Any, depth: int) -> None:
            self._definition(name)(value, depth)

        return check

    def _object(self, schema: Schema, nsid: str) -> Check:
        properties: Schema = schema.get("properties", {})
        required = frozenset(schema.get("required", ()))
        nullable = frozenset(schema.get("nullable", ()))
        fields = [
            (
                name,
                self.compile(property_, nsid, secret=_is_secret(name)),
                # A default replaces a missing required value.
                name in required and "default" not in property_,
                name in nullable,
            )
            for name, property_ in properties.items()
        ]
        undescribed = sorted(required - properties.keys())

        def check(value: Any, depth: int) -> None:
            if type(value) is not dict:
                raise wrong_type("object", value)
            if depth >= MAX_DEPTH:
                raise _too_deep()
            get = value.get
            for name, inner, is_required, is_nullable in fields:
                item = get(name, _MISSING)
                if item is _MISSING:
                    if is_required:
                        raise missing_key(name)
                elif item is not None or not is_nullable:
                    try:
                        inner(item, depth + 1)
                    except Mismatch as mismatch:
                        mismatch.add("." + name)
                        raise
            for name in undescribed:
                if name not in value:
                    raise missing_key(name)

        return check

    def _array(self, schema: Schema, nsid: str, *, secret: bool) -> Check:
        inner = self.compile(schema["items"], nsid, secret=secret)
        minimum: int = schema.get("minLength", 0)
        maximum: float = schema.get("maxLength", float("inf"))

        def check(value: Any, depth: int) -> None:
            if type(value) is not list:
                raise wrong_type("array", value)
            if depth >= MAX_DEPTH:
                raise _too_deep()
            if len(value) < minimum:
                raise Mismatch(f"array too small (minimum {minimum}, got {len(value)})")
            if len(value) > maximum:
                raise Mismatch(f"array too big (maximum {maximum}, got {len(value)})")
            for index, item in enumerate(value):
                try:
                    inner(item, depth + 1)
                except Mismatch as mismatch:
                    mismatch.add(f"[{index}]")
                    raise

        return check

    def _union(self, schema: Schema, nsid: str) -> Check:
        names = [full_name(ref, nsid) for ref in schema["refs"]]
        # Undefined members are skipped: anybody may extend an open union.
        members = {name: self._definition(name) for name in names if name in self._defs}
        is_closed = bool(schema.get("closed"))

        def check(value: Any, depth: int) -> None:
            if type(value) is not dict or "$type" not in value:
                raise wrong_type(_TYPED_OBJECT, value)
            type_ = value["$type"]
            if type(type_) is not str:
                raise wrong_type("string", type_, ".$type")
            member = members.get(type_)
            if member is not None:
                member(value, depth)
            elif is_closed:
                raise not_one_of(names, type_, ".$type")

        return check


def full_name(ref: str, nsid: str) -> str:
    """Return the full name of the definition that `ref` means in the document `nsid`."""
    return (nsid + ref if ref.startswith("#") else ref).removesuffix("#main")


def _named(name: str, inner: Check) -> Check:
    """Wrap the check of an object: its `$type`, if present, must be `name`."""

    def check(value: Any, depth: int) -> None:
        if type(value) is dict and "$type" in value:
            type_ = value["$type"]
            if type_ != name and type_ != f"{name}#main":
                raise not_one_of([name], type_, ".$type")
        inner(value, depth)

    return check


def _token(name: str) -> Check:
    def check(value: Any, depth: int) -> None:
        if value != name:
            raise not_one_of([name], value)

    return check


def _refusal(reason: str) -> Check:
    def check(value: Any, depth: int) -> None:
        raise Mismatch(reason)

    return check


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _too_deep() -> Mismatch:
    return Mismatch(f"Nested deeper than {MAX_DEPTH} levels")
