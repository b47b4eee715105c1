"""Whether others reach a hold: they look at its DID document, at its public URL."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from identity.http import FetchError, SafeHttp

_PATH: Final = "/.well-known/did.json"
_MAX_BYTES: Final = 64 * 1024
_SERVICE: Final = "#atproto_pds"


def find_fault(url: str, *, did: str, signing_key: str) -> str | None:
    """Return what is wrong with the DID document at `url`, for people; None if all is well."""
    return asyncio.run(_find_fault(url, did=did, signing_key=signing_key))


async def _find_fault(url: str, *, did: str, signing_key: str) -> str | None:
    async with SafeHttp() as http:
        try:
            # It is the operator's own URL, which may be on this machine.
            document = await http.get_json(url + _PATH, trusted=True, max_bytes=_MAX_BYTES)
        except FetchError as exc:
            return f"{exc}. Check DNS, the proxy that ends TLS, and whether the server runs"
    if not isinstance(document, dict) or document.get("id") != did:
        return f"{url}{_PATH} is the document of another DID, not of {did}: another server answers"
    if signing_key.removeprefix("did:key:") not in _keys(document):
        return (
            f"{url}{_PATH} has another key than this data directory: two servers have this name, "
            "or the directory is not the one that the server uses"
        )
    if url not in _endpoints(document):
        return f"{url}{_PATH} names another URL of the server than {url}"
    return None


def _keys(document: dict[str, Any]) -> list[Any]:
    return [each.get("publicKeyMultibase") for each in _objects(document, "verificationMethod")]


def _endpoints(document: dict[str, Any]) -> list[Any]:
    return [
        each.get("serviceEndpoint")
        for each in _objects(document, "service")
        if str(each.get("id", "")).endswith(_SERVICE)
    ]


def _objects(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
