"""The document that the owner of a did:web publishes, so that it names the new server.

Nobody else can change it. It is what is published now, with the key, the service and the handle of
the account at the new server; what is there for other purposes stays.

Spec: https://atproto.com/specs/did#did-documents
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from identity.did_document import ATPROTO_KEY, ATPROTO_PDS, PDS_TYPE, DidDocument
from identity.plc_data import InvalidPlcOperation, PlcData, PlcService
from identity.plc_document import document_of
from pds.config.addresses import is_same_server
from pds.lifecycle.migration.errors import MoveProblem, Problem
from repo.keys import InvalidKey, parse_did_key
from repo.syntax import Did

_CONTEXT: Final = "@context"


class Lack(StrEnum):
    """What the published document does not have yet."""

    DOCUMENT = "document"
    """There is none, or it cannot be fetched."""
    SERVICE = "service"
    KEY = "key"
    HANDLE = "handle"


@dataclass(slots=True, frozen=True)
class WebDocument:
    """What is to be published, and how far it is."""

    address: str
    """The URL at which it has to be found."""
    text: str
    """The document, as JSON that people can read."""
    lacks: tuple[Lack, ...]
    """What keeps the published one from naming the new server; nothing once it does."""


def web_document(
    did: Did, fields: Mapping[str, Any], url: str, published: DidDocument | None
) -> WebDocument:
    """Return the document for an account at the server `url`, which asks for `fields`.

    `published` is the document as it is now. Raises `MoveProblem` for fields that name another
    server, or no key.
    """
    wanted = _wanted(fields, url)
    made = document_of(did, wanted)
    document = {} if published is None else dict(published.raw)
    contexts = _list_in(document, _CONTEXT)
    document[_CONTEXT] = [*contexts, *(one for one in made[_CONTEXT] if one not in contexts)]
    document["id"] = did
    if wanted.also_known_as:
        others = [one for one in _list_in(document, "alsoKnownAs") if not _is_handle(one)]
        document["alsoKnownAs"] = [*wanted.also_known_as, *others]
    for field, name in (("verificationMethod", ATPROTO_KEY), ("service", ATPROTO_PDS)):
        ids = (f"#{name}", f"{did}#{name}")
        others = [one for one in _list_in(document, field) if _id_of(one) not in ids]
        document[field] = [*made[field], *others]
    host = did.removeprefix("did:web:").replace("%3a", ":").replace("%3A", ":")
    return WebDocument(
        f"https://{host}/.well-known/did.json",
        orjson.dumps(document, option=orjson.OPT_INDENT_2).decode(),
        tuple(_lacks(wanted, url, published)),
    )


def _wanted(fields: Mapping[str, Any], url: str) -> PlcData:
    """Return the account's own entries of what a server asks for, and no others."""
    try:
        asked = PlcData.from_json(
            {"rotationKeys": [], "verificationMethods": {}, "alsoKnownAs": [], **fields}
        )
        key = parse_did_key(asked.verification_methods.get(ATPROTO_KEY, "")).did_key
    except (InvalidPlcOperation, InvalidKey) as exc:
        raise MoveProblem(Problem.WRONG, str(exc)) from exc
    service = asked.services.get(ATPROTO_PDS)
    if service is None or not is_same_server(service.endpoint, url):
        raise MoveProblem(Problem.WRONG, "another server")
    return PlcData(
        rotation_keys=(),
        verification_methods={ATPROTO_KEY: key},
        also_known_as=tuple(filter(_is_handle, asked.also_known_as)),
        services={ATPROTO_PDS: PlcService(PDS_TYPE, service.endpoint)},
    )


def _lacks(wanted: PlcData, url: str, published: DidDocument | None) -> Iterable[Lack]:
    if published is None:
        yield Lack.DOCUMENT
        return
    if not is_same_server(published.pds_endpoint, url):
        yield Lack.SERVICE
    if published.signing_key() != wanted.verification_methods[ATPROTO_KEY]:
        yield Lack.KEY
    if wanted.also_known_as and f"at://{published.handle}" != wanted.also_known_as[0]:
        yield Lack.HANDLE


def _list_in(document: Mapping[str, Any], field: str) -> list[Any]:
    value = document.get(field)
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_handle(alias: object) -> bool:
    return isinstance(alias, str) and alias.startswith("at://")


def _id_of(entry: object) -> object:
    return entry.get("id") if isinstance(entry, dict) else None
