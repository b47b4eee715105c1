"""Where Lexicons come from: the repository, here or elsewhere, of the DID that DNS names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

import orjson

from identity.did_document import DidDocument
from identity.http import FetchError, SafeHttp
from identity.lookups import Lookups
from identity.resolver import DidResolutionError, DidResolver
from pds.oauth.permission_sets.authority import find_authority
from pds.oauth.permission_sets.document import InvalidLexiconDocument, check_document
from pds.oauth.permission_sets.errors import LexiconUnavailable
from pds.oauth.permission_sets.proof import (
    MAX_ANSWER_BYTES,
    MAX_RECORD_BYTES,
    NotProven,
    read_proven_record,
)
from repo.dagcbor import Value
from repo.datamodel import json_default
from repo.keys import parse_did_key
from repo.record import InvalidRecord, decode_record
from repo.syntax import Did

if TYPE_CHECKING:
    from actor_store.records import StoredRecord
    from actor_store.store import ActorStore
    from pds.accounts.register import AccountRegister

COLLECTION: Final = "com.atproto.lexicon.schema"


class LexiconSource(Protocol):
    """Finds Lexicon documents."""

    async def fetch(self, nsid: str) -> tuple[str, dict[str, Any]]:
        """Return the at-uri and the document of a Lexicon. Raises `LexiconUnavailable`."""
        ...


class Repositories:
    """The Lexicons of every repository on the network, those of this server read directly."""

    def __init__(
        self,
        *,
        lookups: Lookups,
        dids: DidResolver,
        http: SafeHttp,
        accounts: AccountRegister,
        actor_store: ActorStore,
        authority: Did | None = None,
    ) -> None:
        """`authority` is the DID that has all Lexicons, in place of those that DNS names."""
        self._lookups = lookups
        self._dids = dids
        self._http = http
        self._accounts = accounts
        self._actor_store = actor_store
        self._authority = authority

    async def fetch(self, nsid: str) -> tuple[str, dict[str, Any]]:
        """See `LexiconSource`. Raises what shares of look-ups and requests raise, too."""
        did = self._authority or await find_authority(self._lookups, nsid)
        record = await self._find_own(did, nsid) or await self._fetch(did, nsid)
        try:
            # JSON's forms of links and bytes are what the reference stores, too.
            document = orjson.loads(orjson.dumps(record, default=json_default))
            checked = check_document(document, nsid)
        except (InvalidLexiconDocument, orjson.JSONEncodeError) as exc:
            raise LexiconUnavailable(nsid, f"of {did}: {exc}") from exc
        return f"at://{did}/{COLLECTION}/{nsid}", checked

    async def _find_own(self, did: Did, nsid: str) -> dict[str, Value] | None:
        """Return the record of an account here; None if the account is elsewhere."""
        account = self._accounts.find_account(did, include_inactive=True)
        if account is None or account.deactivated_at is not None:
            return None
        if account.takedown_ref is not None:
            raise LexiconUnavailable(nsid, f"{did} is taken down")
        record: StoredRecord | None = await self._actor_store.read(
            did, lambda actor: actor.record.find(COLLECTION, nsid)
        )
        if record is None:
            raise LexiconUnavailable(nsid, f"{did} has no such record")
        if len(record.block) > MAX_RECORD_BYTES:
            raise LexiconUnavailable(nsid, f"the record is larger than {MAX_RECORD_BYTES} bytes")
        try:
            return decode_record(record.block)
        except InvalidRecord as exc:
            raise LexiconUnavailable(nsid, str(exc)) from exc

    async def _fetch(self, did: Did, nsid: str) -> dict[str, Value]:
        try:
            document = await self._dids.resolve(did)
            try:
                return await self._fetch_from(document, nsid)
            except LexiconUnavailable:
                # The account may have moved, or changed its key, since its document was cached.
                again = await self._dids.resolve_again(did)
                if again.raw == document.raw:
                    raise
                return await self._fetch_from(again, nsid)
        except DidResolutionError as exc:
            raise LexiconUnavailable(nsid, f"{did}: {exc}") from exc

    async def _fetch_from(self, document: DidDocument, nsid: str) -> dict[str, Value]:
        did, endpoint, key = document.did, document.pds_endpoint, document.signing_key()
        if endpoint is None or key is None:
            raise LexiconUnavailable(nsid, f"the document of {did} names no server or no key")
        query = urlencode({"did": did, "collection": COLLECTION, "rkey": nsid})
        url = f"{endpoint.rstrip('/')}/xrpc/com.atproto.sync.getRecord?{query}"
        try:
            answer = await self._http.get(url, max_bytes=MAX_ANSWER_BYTES)
            answer.raise_for_status()
            return read_proven_record(answer.body, did, parse_did_key(key), f"{COLLECTION}/{nsid}")
        except FetchError as exc:
            raise LexiconUnavailable(nsid, str(exc)) from exc
        except NotProven as exc:
            raise LexiconUnavailable(nsid, f"{url}: {exc}") from exc
