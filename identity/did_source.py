"""The sources of DID documents: a PLC directory, or the host of a did:web.

DidResolutionError
├── UnsupportedDidMethod    neither did:plc nor a did:web without a path
├── DidNotFound             the directory or host says that the DID does not exist
└── DidUnresolvable         no usable response; `reason` says why

Spec: https://atproto.com/specs/did#blessed-did-methods
"""

from __future__ import annotations

import re
from typing import Final

from identity.addresses import is_public_address
from identity.did_document import DidDocument, InvalidDidDocument
from identity.http import FetchError, FetchStatus, SafeHttp
from identity.share import Share, Unshared
from repo.syntax import Did

MAX_DOCUMENT_BYTES: Final = 128 * 1024
"""Largest document accepted; typical ones have one or two thousand bytes."""

_GONE: Final = frozenset((404, 410))
"""Statuses for a DID that a directory does not know, or that is tombstoned."""
_NO_DOMAIN: Final = ""
_WEB_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?:%3[Aa][0-9]{1,5})?").fullmatch


class DidResolutionError(Exception):
    """`did` has no document that this server can use."""

    def __init__(self, did: Did, reason: str) -> None:
        self.did = did
        self.reason = reason
        super().__init__(f"Could not resolve DID: {did} ({reason})")


class UnsupportedDidMethod(DidResolutionError):
    """The DID's method, or its form within the method, is not used in atproto."""


class DidNotFound(DidResolutionError):
    """The DID does not exist, or is tombstoned."""


class DidUnresolvable(DidResolutionError):
    """The directory or host did not return a document for this DID."""


class DidSource:
    """Fetches documents, without a cache."""

    def __init__(self, http: SafeHttp, *, plc_url: str, plc_share: Share | None = None) -> None:
        """`plc_url` is an operator's setting, so it may be a private address.

        `plc_share` bounds the concurrent fetches from it.
        """
        self._http = http
        self._plc_share = plc_share or Unshared()
        self._plc_url = plc_url.rstrip("/")

    async def fetch(self, did: Did) -> DidDocument:
        """Fetch the current document of `did`. Raises `DidResolutionError`."""
        try:
            return DidDocument.parse(await self._fetch_json(did), did)
        except FetchError as exc:
            raise DidUnresolvable(did, exc.reason) from exc
        except InvalidDidDocument as exc:
            raise DidUnresolvable(did, str(exc)) from exc

    async def _fetch_json(self, did: Did) -> object:
        if did.startswith("did:plc:"):
            return await self._fetch_plc(did)
        if did.startswith("did:web:"):
            return await self._fetch_web(did)
        raise UnsupportedDidMethod(did, "unsupported DID method")

    async def _fetch_plc(self, did: Did) -> object:
        try:
            url = f"{self._plc_url}/{did}"
            async with self._plc_share.turn(_NO_DOMAIN):
                return await self._http.get_json(url, trusted=True, max_bytes=MAX_DOCUMENT_BYTES)
        except FetchStatus as exc:
            if exc.status in _GONE:
                raise DidNotFound(did, "not registered") from exc
            raise

    async def _fetch_web(self, did: Did) -> object:
        try:
            return await self._http.get_json(self._web_url(did), max_bytes=MAX_DOCUMENT_BYTES)
        except FetchStatus as exc:
            raise DidNotFound(did, exc.reason) from exc

    def _web_url(self, did: Did) -> str:
        name = did.removeprefix("did:web:")
        if _WEB_HOST(name) is None:
            raise UnsupportedDidMethod(did, "a did:web must be a host, without a path")
        host, _, port = name.replace("%3a", "%3A").partition("%3A")
        scheme = "http" if self._is_local(host) else "https"
        return f"{scheme}://{host}{':' if port else ''}{port}/.well-known/did.json"

    def _is_local(self, host: str) -> bool:
        """Whether `host` has no certificate: this machine, or an address in a private network."""
        if host == "localhost":
            return True
        is_address = re.fullmatch(r"[0-9.]+", host) is not None
        return self._http.allow_private and is_address and not is_public_address(host)
