"""Whether a manifest's record still exists in the repository of the user who pushed it.

Only a clear answer counts: the user's PDS, found by the DID document as it is now, says that there
is no such record. Everything else, from an unreachable PDS to a repository that has moved, leaves
the manifest as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from identity.did_source import DidResolutionError
from identity.fetch import FetchError
from pds.fairness.turns import TooBusy
from pds.hold.images.manifest import named_digests
from pds.hold.records import MANIFEST, read_value
from repo.syntax import Did, InvalidSyntax, parse_did

if TYPE_CHECKING:
    from identity.did_document import DidDocument
    from pds.context import AppContext

_MAX_BYTES: Final = 4 * 1024 * 1024
"""More than a record of the largest size as JSON."""
_TIMEOUT_MS: Final = 10_000


class ManifestState(Enum):
    """What is known of a manifest's record."""

    PRESENT = "present"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckedManifest:
    """The answer about one manifest; `digests` are those that its record names."""

    uri: str
    state: ManifestState
    digests: frozenset[str] = frozenset()


class ManifestCheck:
    """Asks for the records of manifests."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx

    async def check(self, uri: str) -> CheckedManifest:
        """Find out about the manifest at an at-uri. Never raises for what others do wrong."""
        try:
            did, rkey = _parse_uri(uri)
            value = await self._find(did, rkey)
        except _Unclear:
            return CheckedManifest(uri, ManifestState.UNKNOWN)
        if value is None:
            return CheckedManifest(uri, ManifestState.GONE)
        return CheckedManifest(uri, ManifestState.PRESENT, named_digests(value))

    async def _find(self, did: Did, rkey: str) -> dict[str, Any] | None:
        """Return the record, None if there certainly is none. Raises `_Unclear`."""
        if self._ctx.accounts.find_account(did) is not None:
            return await self._find_here(did, rkey)
        try:
            document = await self._ctx.did_resolver.resolve(did)
            value = await self._ask(document, rkey)
            if value is not None:
                return value
            # The document may be an old one, and the repository has moved since.
            newer = await self._ctx.did_resolver.resolve(did, force=True)
            if newer.pds_endpoint == document.pds_endpoint:
                return None
            return await self._ask(newer, rkey)
        except (DidResolutionError, FetchError, TooBusy) as exc:
            raise _Unclear from exc

    async def _find_here(self, did: Did, rkey: str) -> dict[str, Any] | None:
        try:
            found = await self._ctx.actor_store.read(
                did, lambda actor: actor.record.find(MANIFEST, rkey, include_takendown=True)
            )
        except (ActorStoreError, DatabaseError) as exc:
            raise _Unclear from exc
        return None if found is None else read_value(found.block) or {}

    async def _ask(self, document: DidDocument, rkey: str) -> dict[str, Any] | None:
        endpoint = document.pds_endpoint
        if endpoint is None:
            raise _Unclear
        base = f"{endpoint.rstrip('/')}/xrpc/com.atproto."
        names = {"repo": document.did, "collection": MANIFEST, "rkey": rkey}
        status, answer = await self._get(f"{base}repo.getRecord", names)
        value = answer.get("value")
        if status == 200 and isinstance(value, dict):
            return value
        if status != 400 or answer.get("error") != "RecordNotFound":
            raise _Unclear
        # A PDS passes the question on to an AppView if the repository is not there, or not active;
        # and that has never heard of manifests.
        status, answer = await self._get(f"{base}sync.getRepoStatus", {"did": document.did})
        if status != 200 or answer.get("active") is not True:
            raise _Unclear
        return None

    async def _get(self, url: str, params: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        response = await self._ctx.proxy_http.get(
            f"{url}?{urlencode(params)}", timeout_ms=_TIMEOUT_MS, max_bytes=_MAX_BYTES
        )
        answer = response.json()
        if not isinstance(answer, dict):
            raise _Unclear
        return response.status, answer


class _Unclear(Exception):
    """Nobody has said whether the record exists."""


def _parse_uri(uri: str) -> tuple[Did, str]:
    did, _, path = uri.removeprefix("at://").partition("/")
    collection, _, rkey = path.partition("/")
    if not uri.startswith("at://") or collection != MANIFEST or not rkey:
        raise _Unclear
    try:
        return parse_did(did), rkey
    except InvalidSyntax as exc:
        raise _Unclear from exc
