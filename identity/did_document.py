"""DID documents: the keys, handle and services that a DID publishes.

Documents come from strangers. A malformed part counts as absent; only a document for another DID,
or one that is not an object at all, is refused.

Spec: https://atproto.com/specs/did#did-documents
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, cast
from urllib.parse import urlsplit

from repo.keys import InvalidKey, parse_verification_method
from repo.syntax import Did, Handle, InvalidSyntax, normalize_handle

ATPROTO_KEY: Final = "atproto"
ATPROTO_PDS: Final = "atproto_pds"
PDS_TYPE: Final = "AtprotoPersonalDataServer"

_MAX_ENTRIES: Final = 100
"""Entries of a list in a document that are examined."""


class InvalidDidDocument(ValueError):
    """The JSON is not a DID document, or is the document of another DID."""


class DidDocument:
    """A DID document. `raw` is its JSON, shared by every reader, so it must not be changed."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """Trust `raw` to be a document; use `parse` for one from the network."""
        self.raw = raw
        self.did = Did(raw["id"])

    @classmethod
    def parse(cls, value: object, did: Did) -> DidDocument:
        """Wrap the JSON of `did`'s document. Raises `InvalidDidDocument`."""
        if not isinstance(value, dict):
            raise InvalidDidDocument("the DID document is not a JSON object")
        if value.get("id") != did:
            raise InvalidDidDocument("the DID document is for another DID")
        return cls(value)

    @cached_property
    def handle(self) -> Handle | None:
        """The claimed handle in lower case: the first `at://` alias, if that is a handle.

        Anyone can claim any handle; it is valid only if it resolves back to this DID.
        """
        aliases = self.raw.get("alsoKnownAs")
        for alias in aliases[:_MAX_ENTRIES] if isinstance(aliases, list) else ():
            if isinstance(alias, str) and alias.startswith("at://"):
                try:
                    return normalize_handle(alias.removeprefix("at://"))
                except InvalidSyntax:
                    return None
        return None

    def verification_key(self, name: str) -> str | None:
        """Return the did:key of verification method `#name`, if it is of a kind used in atproto."""
        entry = self._find("verificationMethod", name)
        return None if entry is None else _did_key_of(entry)

    def verification_keys(self) -> Iterator[str]:
        """Yield the did:key of every verification method that is of a kind used in atproto."""
        return filter(None, map(_did_key_of, self._entries("verificationMethod")))

    def signing_key(self) -> str | None:
        """The did:key that verifies the account's repository and service tokens."""
        return self._signing_key

    def service_endpoint(self, name: str, *, kind: str | None = None) -> str | None:
        """Return the URL of service `#name` if it is http(s) and, if given, of type `kind`."""
        entry = self._find("service", name)
        if entry is None or (kind is not None and entry.get("type") != kind):
            return None
        endpoint = entry.get("serviceEndpoint")
        return endpoint if isinstance(endpoint, str) and _is_http_url(endpoint) else None

    @cached_property
    def pds_endpoint(self) -> str | None:
        """The URL of the account's PDS."""
        return self.service_endpoint(ATPROTO_PDS, kind=PDS_TYPE)

    @cached_property
    def _signing_key(self) -> str | None:
        return self.verification_key(ATPROTO_KEY)

    def _find(self, field: str, name: str) -> Mapping[str, Any] | None:
        ids = (f"#{name}", f"{self.did}#{name}")
        return next((entry for entry in self._entries(field) if entry.get("id") in ids), None)

    def _entries(self, field: str) -> Iterator[Mapping[str, Any]]:
        entries = self.raw.get(field)
        for entry in entries[:_MAX_ENTRIES] if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                yield cast("Mapping[str, Any]", entry)


def _did_key_of(entry: Mapping[str, Any]) -> str | None:
    kind, multibase = entry.get("type"), entry.get("publicKeyMultibase")
    if not isinstance(kind, str) or not isinstance(multibase, str):
        return None
    try:
        return parse_verification_method(kind, multibase).did_key
    except InvalidKey:
        return None


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False
