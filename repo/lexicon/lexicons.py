"""The server's interface to its schemas: methods, parameters, bodies and records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeAlias

from repo.lexicon.documents import check_document
from repo.lexicon.errors import InvalidLexicon, Mismatch, missing_key, not_one_of, wrong_type
from repo.lexicon.leaves import Schema
from repo.lexicon.own import own_documents
from repo.lexicon.params import Params, ParamsSchema
from repo.syntax import InvalidSyntax, parse_nsid, parse_rkey, parse_tid

MethodKind: TypeAlias = Literal["query", "procedure", "subscription"]

_METHOD_KINDS: Final = ("query", "procedure", "subscription")
_RECORD_AUTHORITIES: Final = (
    *("app.bsky.", "chat.bsky.", "com.atproto.", "com.germnetwork.", "site.standard."),
)
"""Namespaces of the bundled record schemas; records of other types are not validated."""


@dataclass(slots=True, frozen=True)
class MethodSchema:
    """What the router needs to know about a method."""

    nsid: str
    kind: MethodKind
    has_input: bool
    input_encoding: str | None
    """Such as `application/json`, `*/*` or `application/vnd.ipld.car`; None for no input."""
    has_output: bool


class Lexicons:
    """A set of schemas, compiled on first use. Values are data model values (`Cid`, bytes)."""

    def __init__(
        self,
        documents: Sequence[Mapping[str, Any]] | None = None,
        *,
        own: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Load `documents`, or the official ones if None, and `own` in addition.

        Raises `InvalidLexicon` for a bad document.
        """
        # Imported late: importing lexrpc reads its hundreds of schema files.
        from repo.lexicon.validator import Validator

        for document in (*(documents or ()), *own):
            check_document(document)
        self._validator = Validator(documents, own=own)
        self._defs: Mapping[str, Schema] = self._validator.defs
        self._authorities = _RECORD_AUTHORITIES if documents is None else ("",)
        self._own = frozenset(document["id"] for document in own)
        self._methods: dict[str, MethodSchema] = {}
        self._params: dict[str, ParamsSchema] = {}
        self._defaults: dict[str, dict[str, Any]] = {}

    def method(self, nsid: str) -> MethodSchema | None:
        """Return the method `nsid`, or None if no schema defines it."""
        found = self._methods.get(nsid)
        if found is None:
            schema = self._defs.get(nsid)
            if schema is not None and schema["type"] in _METHOD_KINDS:
                found = self._methods[nsid] = _method_schema(nsid, schema)
        return found

    def iter_methods(self) -> Iterator[str]:
        """Yield the NSIDs of all methods, in no particular order."""
        return (nsid for nsid, schema in self._defs.items() if schema["type"] in _METHOD_KINDS)

    def parse_params(self, nsid: str, pairs: Iterable[tuple[str, str]]) -> Params:
        """Convert and check a method's query: unknown names are ignored, defaults filled in.

        Raises `InvalidLexicon` with the message `Invalid <nsid> params: <reason>`.
        """
        schema = self._params.get(nsid)
        if schema is None:
            parameters: Schema = self._method_def(nsid).get("parameters", {})
            schema = ParamsSchema(nsid, parameters, self._validator.compiler)
            self._params[nsid] = schema
        try:
            return schema.parse(pairs)
        except Mismatch as mismatch:
            message = f"Invalid {nsid} params: {mismatch.reason}"
            raise InvalidLexicon(message, reason=mismatch.reason) from mismatch

    def validate_input(self, nsid: str, body: Any) -> Any:
        """Check a request body and return it with defaults filled in; the body is not changed.

        A body without a schema, such as a blob, is returned unchanged. Raises `InvalidLexicon` with
        the message `<reason> at $.path`.
        """
        self._method_def(nsid)
        try:
            self._validator.validate(nsid, "input", body)
        except Mismatch as mismatch:
            raise InvalidLexicon(mismatch.at("$"), reason=mismatch.reason) from mismatch
        defaults = self._defaults.get(nsid)
        if defaults is None:
            defaults = self._defaults[nsid] = _input_defaults(self._defs[nsid])
        return {**defaults, **body} if defaults else body

    def is_known_record(self, nsid: str) -> bool:
        """Whether records of this type are validated."""
        schema = self._defs.get(nsid)
        return (
            schema is not None
            and schema["type"] == "record"
            and (nsid.startswith(self._authorities) or nsid in self._own)
        )

    def validate_record(self, nsid: str, rkey: str, value: Any, *, root: str = "$.record") -> None:
        """Check a record and its key, including the constraints on its blobs.

        `root` is the path of the record in the request. Raises `InvalidLexicon` with the message
        `Invalid record key for <type>: <reason>` or `Invalid <type> record: <reason> at <path>`.
        """
        if not self.is_known_record(nsid):
            raise InvalidLexicon(f"Unknown lexicon type: {nsid}")
        try:
            _check_rkey(self._defs[nsid]["key"], rkey)
        except Mismatch as mismatch:
            message = f"Invalid record key for {nsid}: {mismatch.at('$')}"
            raise InvalidLexicon(message, reason=mismatch.reason) from mismatch
        try:
            _check_record_type(nsid, value)
            self._validator.validate(nsid, "record", value)
        except Mismatch as mismatch:
            message = f"Invalid {nsid} record: {mismatch.at(root)}"
            raise InvalidLexicon(message, reason=mismatch.reason) from mismatch

    def _method_def(self, nsid: str) -> Schema:
        schema = self._defs.get(nsid)
        if schema is None or schema["type"] not in _METHOD_KINDS:
            raise InvalidLexicon(f"Unknown lexicon type: {nsid}")
        return schema


@cache
def default_lexicons() -> Lexicons:
    """Return the official schemas and our own. The first call takes a tenth of a second."""
    return Lexicons(own=own_documents())


def _method_schema(nsid: str, schema: Schema) -> MethodSchema:
    input_: Schema | None = schema.get("input")
    return MethodSchema(
        nsid=nsid,
        kind=schema["type"],
        has_input=input_ is not None,
        input_encoding=input_["encoding"] if input_ else None,
        has_output="output" in schema,
    )


def _input_defaults(method: Schema) -> dict[str, Any]:
    schema: Schema = method.get("input", {}).get("schema", {})
    return {
        name: property_["default"]
        for name, property_ in schema.get("properties", {}).items()
        if "default" in property_
    }


def _check_rkey(kind: str, rkey: str) -> None:
    """Raise `Mismatch` unless `rkey` is a key of the given kind.

    Spec: https://atproto.com/specs/record-key#record-key-types
    """
    try:
        match kind:
            case "tid":
                parse_tid(rkey)
            case "nsid":
                parse_nsid(rkey)
            case "any":
                parse_rkey(rkey)
            case literal if rkey != literal.removeprefix("literal:"):
                raise not_one_of([literal.removeprefix("literal:")], rkey)
    except InvalidSyntax as exc:
        raise Mismatch(str(exc)) from exc


def _check_record_type(nsid: str, value: Any) -> None:
    if type(value) is not dict:
        raise wrong_type("object", value)
    if "$type" not in value:
        raise missing_key("$type")
    if value["$type"] != nsid:
        raise not_one_of([nsid], value["$type"], ".$type")
