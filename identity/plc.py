"""A client for a PLC directory: sending operations, and reading the state of a did:plc.

Spec: https://web.plc.directory/api/redoc
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from identity.http import FetchedResponse, FetchError, FetchMalformed, SafeHttp
from identity.plc_data import InvalidPlcOperation, PlcData
from identity.plc_log import PlcLogEntry, validate_log
from identity.plc_operation import PlcOperation, Signer
from repo.syntax import Did

UNREACHABLE_STATUS: Final = 502
"""The `status` of a `PlcError` if the directory gave no usable response."""
MAX_LOG_BYTES: Final = 2 * 1024 * 1024
MAX_LOG_OPERATIONS: Final = 1_000
"""Limit per DID; most have fewer than ten. The public directory accepts up to 100 per week."""
UNLISTED_KEY: Final = "does not list the rotation key"
"""The part of a `PlcKeyRefused` message between the DID and the key."""
_MAX_MESSAGE: Final = 500


class PlcError(Exception):
    """The directory refused (`status` 4xx), failed (5xx) or did not answer (502)."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)

    @property
    def is_absence(self) -> bool:
        """Whether the directory has no such DID, or only its tombstone."""
        return self.status in (404, 410)

    @property
    def is_failure(self) -> bool:
        """Whether the directory failed or did not answer, so that a retry may succeed."""
        return self.status >= 500


class PlcKeyRefused(PlcError):
    """The DID does not list the rotation key that signed the operation."""

    def __init__(self, refusal: PlcError, did: str, did_key: str) -> None:
        super().__init__(refusal.status, f"{refusal.message}. {did} {UNLISTED_KEY} {did_key}")
        self.did = did
        self.did_key = did_key


class PlcClient:
    """One directory. Every method raises `PlcError`."""

    def __init__(self, url: str, http: SafeHttp) -> None:
        """`url` is an operator's setting, so it may be a private address."""
        self.url = url.rstrip("/")
        self._http = http

    async def send(self, did: Did, operation: PlcOperation) -> None:
        """Submit `operation`: the creation of `did`, an update or a tombstone."""
        try:
            response = await self._http.post_json(
                f"{self.url}/{did}", operation.to_json(), trusted=True
            )
        except FetchError as exc:
            raise _unreachable(exc) from exc
        _check(response)

    async def update(
        self, did: Did, change: Callable[[PlcData], PlcData], *, key: Signer
    ) -> PlcOperation:
        """Apply `change` to the current state, send the operation and return it."""
        last = await self.last_op(did)
        operation = _sign_change(last, change, key=key)
        await self._send_ours(did, operation, last=last, key=key)
        return operation

    async def sign_update(
        self, did: Did, change: Callable[[PlcData], PlcData], *, key: Signer
    ) -> PlcOperation:
        """Apply `change` to the current state and sign the operation, for somebody else to send."""
        return _sign_change(await self.last_op(did), change, key=key)

    async def update_handle(self, did: Did, handle: str, *, key: Signer) -> None:
        """Replace the first `at://` alias."""
        await self.update(did, lambda data: data.with_handle(handle), key=key)

    async def tombstone(self, did: Did, *, key: Signer) -> None:
        """Tombstone `did`. Only a stronger rotation key can restore it, within 72 hours."""
        last = await self.last_op(did)
        tombstone = PlcOperation.sign_tombstone(prev=last.cid, key=key)
        await self._send_ours(did, tombstone, last=last, key=key)

    async def last_op(self, did: Did) -> PlcOperation:
        """Return the operation that set the current state, or the tombstone."""
        try:
            return PlcOperation.parse(await self._get(f"/{did}/log/last"))
        except InvalidPlcOperation as exc:
            raise PlcError(UNREACHABLE_STATUS, str(exc)) from exc

    async def data(self, did: Did) -> PlcData:
        """Return the current state: keys, aliases and services. A tombstoned DID gives a 404."""
        try:
            return PlcData.from_json(await self._get(f"/{did}/data"))
        except InvalidPlcOperation as exc:
            raise PlcError(UNREACHABLE_STATUS, str(exc)) from exc

    async def audit_log(self, did: Did) -> list[PlcLogEntry]:
        """Return every operation ever accepted, including nullified ones, all of them checked."""
        response = await self._ask(f"/{did}/log/audit", max_bytes=MAX_LOG_BYTES)
        try:
            # In a thread, as each operation may need up to five signature checks.
            return await asyncio.to_thread(_read_log, did, response)
        except InvalidPlcOperation as exc:
            message = f"the PLC directory gives out a log of {did} that is not valid: {exc}"
            raise PlcError(UNREACHABLE_STATUS, message) from exc
        except FetchError as exc:
            raise _unreachable(exc) from exc

    async def _send_ours(
        self, did: Did, operation: PlcOperation, *, last: PlcOperation, key: Signer
    ) -> None:
        """Send an operation signed by `key`. Raises `PlcKeyRefused` if that key is the reason."""
        try:
            await self.send(did, operation)
        except PlcError as exc:
            listed = () if last.data is None else last.data.rotation_keys
            if 400 <= exc.status < 500 and listed and key.did_key not in listed:
                raise PlcKeyRefused(exc, did, key.did_key) from exc
            raise

    async def _get(self, path: str) -> Any:
        try:
            return (await self._ask(path)).json()
        except FetchError as exc:
            raise _unreachable(exc) from exc

    async def _ask(self, path: str, *, max_bytes: int | None = None) -> FetchedResponse:
        try:
            response = await self._http.get(self.url + path, trusted=True, max_bytes=max_bytes)
        except FetchError as exc:
            raise _unreachable(exc) from exc
        _check(response)
        return response


def _read_log(did: Did, response: FetchedResponse) -> list[PlcLogEntry]:
    """Read an audit log. Raises `FetchMalformed` and `InvalidPlcOperation`."""
    lines = response.json()
    if not isinstance(lines, list):
        raise InvalidPlcOperation("it is not a list")
    if len(lines) > MAX_LOG_OPERATIONS:
        raise InvalidPlcOperation(f"it has more than {MAX_LOG_OPERATIONS:,} operations")
    log = [PlcLogEntry.from_json(line) for line in lines]
    validate_log(did, log)
    return log


def _sign_change(
    last: PlcOperation, change: Callable[[PlcData], PlcData], *, key: Signer
) -> PlcOperation:
    if last.data is None:
        raise PlcError(400, "Did is tombstoned")
    return PlcOperation.sign(change(last.data), prev=last.cid, key=key)


def _check(response: FetchedResponse) -> None:
    if 200 <= response.status < 300:
        return
    message = "Unable to perform PLC operation"
    try:
        answer = response.json()
    except FetchMalformed:
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        message = answer["message"][:_MAX_MESSAGE]
    raise PlcError(response.status, message)


def _unreachable(exc: FetchError) -> PlcError:
    return PlcError(UNREACHABLE_STATUS, f"Unable to perform PLC operation: {exc.reason}")
