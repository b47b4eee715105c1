"""`ScopeReferences`: scopes that are too long for a token, which names them as `ref:…` instead.

The entryway tells what a name stands for. The name is a hash of the scope, so it never changes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cachetools import LRUCache
from yarl import URL

from identity.http import FetchedResponse, FetchError, SafeHttp
from pds.oauth.errors import InvalidToken
from pds.oauth.tokens.session import OAuthSession

MAX_BYTES: Final = 256 * 1024
"""Of an answer of the entryway."""

_PREFIX: Final = "ref:"
_CACHED_SCOPES: Final = 1000
_METHOD: Final = "/xrpc/com.atproto.temp.dereferenceScope"
_UNKNOWN: Final = "InvalidScopeReference"


class ScopesUnavailable(Exception):
    """The entryway does not tell what a token permits."""

    def __init__(self) -> None:
        super().__init__("Failed to fetch token permissions")


class ScopeReferences:
    """Looks up scopes at one entryway."""

    def __init__(self, http: SafeHttp, entryway: str) -> None:
        """`entryway` is its URL, without a slash at its end."""
        self._http = http
        self._url = URL(entryway + _METHOD)
        self._known: LRUCache[str, str] = LRUCache(_CACHED_SCOPES)

    async def resolve(self, session: OAuthSession) -> OAuthSession:
        """Return a session with its scope in full.

        Raises `InvalidToken` if the entryway does not know the scope, and `ScopesUnavailable`.
        """
        name = session.scope
        if not name.startswith(_PREFIX) or " " in name:
            return session
        scope = self._known.get(name)
        if scope is None:
            scope = self._known[name] = await self._fetch(name)
        return replace(session, scope=scope)

    async def _fetch(self, name: str) -> str:
        url = str(self._url.with_query(scope=name))
        try:
            # The entryway's URL is the operator's.
            response = await self._http.get(
                url, trusted=True, headers={"Accept": "application/json"}, max_bytes=MAX_BYTES
            )
            return _scope_in(response)
        except FetchError as exc:
            raise ScopesUnavailable from exc


def _scope_in(response: FetchedResponse) -> str:
    answer = response.json()
    if not isinstance(answer, dict):
        raise ScopesUnavailable
    if response.status == 400 and answer.get("error") == _UNKNOWN:
        raise InvalidToken("Unknown scope reference")
    scope = answer.get("scope")
    if response.status != 200 or not isinstance(scope, str):
        raise ScopesUnavailable
    return scope
