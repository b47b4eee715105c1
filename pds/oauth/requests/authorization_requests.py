"""`AuthorizationRequests`: the table `authorization_request`, from the request to its code.

A request is opened by one browser, granted by one account, and exchanged for tokens once. What
breaks this order ends the request: somebody else may have learnt its name.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final, TypeVar

from database.connection import Database
from database.retry import write
from database.shared_writes import SharedWrites
from database.timestamps import Clock, iso_of
from pds.accounts.access_cutoffs import read_cutoff
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.errors import AccessDenied, InvalidGrant, InvalidRequest, OAuthError
from pds.oauth.requests.order import is_granted, problem_of_granting, problem_of_opening
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.requests.stored import StoredRequest, is_code, parse_request_uri
from pds.oauth.tokens.grants import CodeGrant
from repo.syntax import Did

T = TypeVar("T")

LIFETIME_S: Final = 5 * 60
"""From the last step to the next one."""
KEPT_S: Final = 10 * 60
"""How long an expired request is kept, to tell its client that it has expired."""

MAX_WAITING: Final = 20_000
"""Requests that wait for a person. Beyond it, those that nobody has gone on with for longest go."""

_REMOVED_AT_ONCE: Final = 100
_REST_S: Final = 1
"""After a look that found fewer than that many old requests."""
_COUNT_EVERY: Final = 64
"""Requests between two counts, at least; after each, more than that many may be removed."""
_SHARE_OF_ROOM: Final = 16
"""Counting 20,000 takes a millisecond: the part of the room that is filled before the next time."""
_COLUMNS: Final = "id, clientId, clientAuth, parameters, expiresAt, deviceId, did, code"
_FIND: Final = f"SELECT {_COLUMNS} FROM authorization_request WHERE id = ?"
_TAKE: Final = (
    f"DELETE FROM authorization_request WHERE code = ? AND code IS NOT NULL RETURNING {_COLUMNS}"
)


class AuthorizationRequests:
    """Requests that are under way. Every async method is one transaction."""

    def __init__(
        self, db: Database, *, clock: Clock = time.time, max_waiting: int = MAX_WAITING
    ) -> None:
        self._db = db
        self._writes = SharedWrites(db)
        self._clock = clock
        self._max_waiting = max_waiting
        self._until_count = _COUNT_EVERY
        self._removed_at_s = 0.0
        """When no old requests were left."""

    async def create(
        self,
        client_id: str,
        client_auth: ClientAuth | None,
        parameters: AuthorizationParameters,
        *,
        device_id: str | None = None,
    ) -> StoredRequest:
        """Store a request whose parameters were checked. `device_id` is the browser it is for."""
        request = StoredRequest(
            request_id=f"req-{secrets.token_hex(16)}",
            client_id=client_id,
            client_auth=client_auth,
            parameters=parameters,
            expires_at=self._clock() + LIFETIME_S,
            device_id=device_id,
        )
        # It lives for minutes, and whoever loses it starts again.
        await self._writes.make(lambda: self._insert(request), lasting=False)
        return request

    async def open(
        self, request_uri: str, *, client_id: str | None, device_id: str | None
    ) -> StoredRequest:
        """Return a request that waits for the person, and give it another five minutes.

        It is bound to the first `device_id`. `client_id` is the client that the browser names.
        Raises `InvalidRequest` if it is unknown, and `AccessDenied`, after which it is deleted.
        """
        request_id = parse_request_uri(request_uri)
        now = self._clock()

        def open_it() -> StoredRequest | OAuthError:
            found = self._find(request_id)
            problem = problem_of_opening(found, client_id, device_id, now_s=now)
            if problem is not None:
                return self._refuse(found, problem)
            self._db.run(
                "UPDATE authorization_request SET expiresAt = ?, deviceId = ifnull(deviceId, ?)"
                " WHERE id = ?",
                (iso_of(now + LIFETIME_S), device_id, request_id),
            )
            return self._find(request_id)

        return await self._outcome(open_it)

    async def authorize(
        self,
        request_uri: str,
        *,
        did: Did,
        device_id: str,
        is_deactivated: bool = False,
        scope: str | None = None,
    ) -> StoredRequest:
        """Grant a request to an account that is signed in on the device; return it with its code.

        `scope` has what the person agreed to, if that is less than what the client asked for. Of
        two calls for one account and device, both return the answer to the first.
        Raises `InvalidRequest` if it is unknown, and `AccessDenied`, after which it is deleted.
        """
        request_id = parse_request_uri(request_uri)
        now = self._clock()

        def authorize() -> StoredRequest | OAuthError:
            found = self._find(request_id)
            if is_granted(found, device_id, did, now_s=now):
                return found
            problem = problem_of_granting(found, device_id, now_s=now)
            if is_deactivated:
                problem = "This account has been deactivated"
            if problem is not None:
                return self._refuse(found, problem)
            parameters = found.parameters
            if scope is not None:
                kept = _intersection(parameters.scope, scope)
                if "atproto" not in kept:
                    return self._refuse(found, 'The "atproto" scope is required')
                parameters = parameters.having(scope=" ".join(kept))
            self._db.run(
                "UPDATE authorization_request"
                " SET did = ?, code = ?, expiresAt = ?, parameters = ? WHERE id = ?",
                (
                    did,
                    f"cod-{secrets.token_hex(32)}",
                    iso_of(now + LIFETIME_S),
                    parameters.to_json(),
                    request_id,
                ),
            )
            return self._find(request_id)

        return await self._outcome(authorize)

    async def consume(self, code: str) -> CodeGrant:
        """Take a code out of the table, so that nobody can use it again.

        Raises `InvalidGrant`. The code may then be one that was used before: the session that it
        made has to end.
        """
        if not is_code(code):
            raise InvalidGrant("Invalid code")

        def take() -> tuple[StoredRequest, int] | None:
            row = self._db.one(_TAKE, (code,))
            if row is None:
                return None
            request = StoredRequest.of_row(row)
            return request, read_cutoff(self._db, request.did or "")

        taken = await write(self._db, take)
        if taken is None:
            raise InvalidGrant("Invalid code")
        request, cutoff_s = taken
        if request.did is None:
            raise InvalidGrant("Invalid code")
        if request.expires_at < self._clock():
            raise InvalidGrant("This code has expired")
        return CodeGrant(
            code=code,
            did=request.did,
            device_id=request.device_id,
            client_id=request.client_id,
            client_auth=request.client_auth,
            parameters=request.parameters,
            cutoff_s=cutoff_s,
        )

    async def delete(self, request_uri: str) -> None:
        """Delete a request, which need not exist. Raises `InvalidRequest` for what is no name."""
        request_id = parse_request_uri(request_uri)
        await write(self._db, lambda: self._delete(request_id))

    def find_granted(
        self, request_uri: str, *, client_id: str, device_id: str, did: str
    ) -> StoredRequest | None:
        """Return the request if it was granted just so, and its code is not used yet.

        Whoever clicks twice sends a form twice, and gets the answer to the second one only.
        """
        row = self._db.one(_FIND, (parse_request_uri(request_uri),))
        request = None if row is None else StoredRequest.of_row(row)
        if request is None or request.client_id != client_id:
            return None
        return request if is_granted(request, device_id, did, now_s=self._clock()) else None

    def find_client_id(self, request_uri: str) -> str | None:
        """Return the client of a request, whatever its state."""
        found: str | None = self._db.value(
            "SELECT clientId FROM authorization_request WHERE id = ?",
            (parse_request_uri(request_uri),),
        )
        return found

    def _insert(self, request: StoredRequest) -> None:
        self._remove_old()
        self._until_count -= 1
        if self._until_count <= 0:
            room = self._max_waiting - self._count_waiting()
            self._until_count = max(_COUNT_EVERY, room // _SHARE_OF_ROOM)
            if room < 0:
                self._remove_excess(-room)
        auth = request.client_auth
        self._db.run(
            "INSERT INTO authorization_request"
            " (id, clientId, clientAuth, parameters, expiresAt, deviceId)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                request.request_id,
                request.client_id,
                "null" if auth is None else auth.to_json(),
                request.parameters.to_json(),
                iso_of(request.expires_at),
                request.device_id,
            ),
        )

    def _find(self, request_id: str) -> StoredRequest:
        row = self._db.one(_FIND, (request_id,))
        if row is None:
            raise InvalidRequest("Unknown request_uri")
        return StoredRequest.of_row(row)

    def _delete(self, request_id: str) -> None:
        self._db.run("DELETE FROM authorization_request WHERE id = ?", (request_id,))

    def _refuse(self, request: StoredRequest, problem: str) -> OAuthError:
        """Delete a request; return the error to raise once that is committed."""
        self._delete(request.request_id)
        error = AccessDenied(problem)
        error.parameters = request.parameters
        return error

    async def _outcome(self, transaction: Callable[[], T | OAuthError]) -> T:
        """Run a transaction that commits although it refuses."""
        outcome = await write(self._db, transaction)
        if isinstance(outcome, OAuthError):
            raise outcome
        return outcome

    def _remove_old(self) -> None:
        """Delete some of the requests that have long expired: more than the one that comes."""
        now_s = self._clock()
        # The clock may be set back.
        if 0 <= now_s - self._removed_at_s < _REST_S:
            return
        self._db.run(
            "DELETE FROM authorization_request WHERE id IN"
            " (SELECT id FROM authorization_request WHERE expiresAt < ? LIMIT ?)",
            (iso_of(now_s - KEPT_S), _REMOVED_AT_ONCE),
        )
        if self._db.changes < _REMOVED_AT_ONCE:
            self._removed_at_s = now_s

    def _count_waiting(self) -> int:
        return int(self._db.value("SELECT count(*) FROM authorization_request"))

    def _remove_excess(self, excess: int) -> None:
        """Delete the requests that wait for longest, if anybody floods the server with them."""
        self._db.run(
            "DELETE FROM authorization_request WHERE id IN"
            " (SELECT id FROM authorization_request WHERE code IS NULL"
            " ORDER BY expiresAt LIMIT ?)",
            (min(excess, 8 * _COUNT_EVERY),),
        )


def _intersection(asked_for: str, agreed_to: str) -> list[str]:
    agreed = frozenset(agreed_to.split(" "))
    return [scope for scope in asked_for.split(" ") if scope in agreed]
