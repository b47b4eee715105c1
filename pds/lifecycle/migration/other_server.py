"""A client of the other server of a move, which may be slow, broken or malicious.

Everything has a bound: answers in bytes, waits in seconds, and downloads in pace. Redirects are not
followed, and private addresses are refused, by `SafeHttp`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from identity.http import FetchedResponse, FetchError, FetchRefused, FetchTimeout, SafeHttp
from pds.lifecycle.migration.errors import MoveProblem, OtherServerRefused, Problem

_MAX_JSON_BYTES: Final = 2 * 1024 * 1024
_SAID_CHARACTERS: Final = 200
_is_token: Final = re.compile(r"[\x21-\x7e]{1,8192}").fullmatch
"""What a header can carry."""
_JSON: Final = "application/json"
_FRESH_S: Final = 300.0
"""How long a session that was valid is taken for it: access tokens last for an hour or two."""


@dataclass(slots=True, frozen=True)
class Patience:
    """How long the other server may take."""

    answer_s: float = 30.0
    """For the whole of a short answer, the head of a long one, and each part of it."""
    work_s: float = 600.0
    """For the answer to an upload, which may have to wait for a turn."""
    start_s: float = 60.0
    """For a download before its pace counts."""
    bytes_per_s: float = 4096.0
    """The pace of a download, on average."""


PATIENCE: Final = Patience()


@dataclass(slots=True, frozen=True)
class Tokens:
    """A session at the other server."""

    access: str
    refresh: str

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Tokens:
        """Read them from an answer. Raises `MoveProblem`."""
        access, refresh = (text_in(answer, name) for name in ("accessJwt", "refreshJwt"))
        if not (_is_token(access) and _is_token(refresh)):
            raise MoveProblem(Problem.WRONG, "no tokens")
        return cls(access, refresh)


class OtherServer:
    """Calls methods of a server; all raise `MoveProblem`."""

    def __init__(
        self,
        http: SafeHttp,
        url: str,
        tokens: Tokens | None = None,
        *,
        on_tokens: Callable[[Tokens], Awaitable[None]] | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        """`tokens` are of a session; `on_tokens` keeps those that replace them."""
        self.url = url.rstrip("/")
        self._http = http
        self._tokens = tokens
        self._on_tokens = on_tokens
        self._patience = patience
        self._fresh_s = -_FRESH_S
        """When the session was last known to be valid."""

    @property
    def is_signed_in(self) -> bool:
        """Whether there is a session."""
        return self._tokens is not None

    async def query(
        self, nsid: str, params: Mapping[str, str] | None = None, *, is_public: bool = False
    ) -> dict[str, Any]:
        """Call a query, and return the JSON object that it answers with."""
        path = f"/xrpc/{nsid}" + (f"?{urlencode(params)}" if params else "")
        return await self._call("GET", path, None, is_public=is_public)

    async def procedure(
        self,
        nsid: str,
        body: Mapping[str, Any] | None = None,
        *,
        is_public: bool = False,
        token: str | None = None,
    ) -> dict[str, Any]:
        """Call a procedure, by default as the session; `token` is one for this method alone."""
        sent = None if body is None else orjson.dumps(body)
        return await self._call("POST", f"/xrpc/{nsid}", sent, is_public=is_public, token=token)

    @asynccontextmanager
    async def download(
        self, nsid: str, **params: str
    ) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Call a query whose answer is long; return its media type and its bytes."""
        path = f"/xrpc/{nsid}?{urlencode(params)}"
        try:
            async with asyncio.timeout(self._patience.answer_s):
                # Public, but an account that is deactivated is shown to itself only.
                headers = {
                    **self._authorization(None),
                    "Accept": "*/*",
                    "Accept-Encoding": "identity",
                }
                response = await self._http.open(
                    "GET", self.url, path, headers=headers, decompress=True
                )
        except TimeoutError as exc:
            raise MoveProblem(Problem.SLOW) from exc
        except FetchError as exc:
            raise _problem_of(exc) from exc
        try:
            if response.status != 200:
                async with asyncio.timeout(self._patience.answer_s):
                    body = await response.read(_MAX_JSON_BYTES)
                raise _refusal(response.status, body)
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
            yield kind, self._parts(response.read_part)
        except TimeoutError as exc:
            raise MoveProblem(Problem.SLOW) from exc
        finally:
            await response.close()

    async def upload(
        self, nsid: str, chunks: AsyncIterable[bytes], *, content_type: str
    ) -> dict[str, Any]:
        """Call a procedure with a long body."""
        if time.monotonic() - self._fresh_s > _FRESH_S:
            # A body can be sent only once, so the session is renewed before.
            await self.query("com.atproto.server.getSession")
            self._fresh_s = time.monotonic()
        headers = {**self._authorization(None), "Content-Type": content_type}
        try:
            async with asyncio.timeout(self._patience.work_s):
                response = await self._http.open(
                    "POST", self.url, f"/xrpc/{nsid}", headers=headers, body=chunks
                )
                try:
                    body = await response.read(_MAX_JSON_BYTES)
                finally:
                    await response.close()
        except TimeoutError as exc:
            raise MoveProblem(Problem.SLOW) from exc
        except FetchError as exc:
            raise _problem_of(exc) from exc
        return _answer(response.status, body)

    async def _parts(self, read_part: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
        started_s, received = time.monotonic(), 0
        while True:
            # Told at once: what stores the bytes would take a timeout for one of the disk.
            try:
                async with asyncio.timeout(self._patience.answer_s):
                    part = await read_part()
            except TimeoutError as exc:
                raise MoveProblem(Problem.SLOW) from exc
            except FetchError as exc:
                raise _problem_of(exc) from exc
            if not part:
                return
            received += len(part)
            took_s = time.monotonic() - started_s
            slowest = (took_s - self._patience.start_s) * self._patience.bytes_per_s
            if received < slowest:
                raise MoveProblem(Problem.SLOW)
            yield part

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        is_public: bool = False,
        token: str | None = None,
    ) -> dict[str, Any]:
        may_refresh = not is_public and token is None
        if may_refresh and self._tokens is None:
            raise MoveProblem(Problem.SIGNED_OUT)
        headers = {} if is_public else self._authorization(token)
        response = await self._request(method, path, body, headers)
        if may_refresh and _has_expired(response):
            await self._refresh()
            response = await self._request(method, path, body, self._authorization(None))
        return _answer(response.status, response.body)

    async def _refresh(self) -> None:
        headers = self._authorization(self._tokens.refresh if self._tokens else None)
        path = "/xrpc/com.atproto.server.refreshSession"
        response = await self._request("POST", path, None, headers)
        try:
            tokens = Tokens.parse(_answer(response.status, response.body))
        except OtherServerRefused as exc:
            raise MoveProblem(Problem.SIGNED_OUT, exc.said) from exc
        self._tokens = tokens
        if self._on_tokens is not None:
            await self._on_tokens(tokens)

    async def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> FetchedResponse:
        try:
            return await self._http.request(
                method,
                self.url + path,
                headers={**headers, **({} if body is None else {"Content-Type": _JSON})},
                body=body,
                timeout_ms=int(self._patience.answer_s * 1000),
                max_bytes=_MAX_JSON_BYTES,
            )
        except FetchError as exc:
            raise _problem_of(exc) from exc

    def _authorization(self, token: str | None) -> dict[str, str]:
        if token is None:
            if self._tokens is None:
                return {}
            token = self._tokens.access
        return {"Authorization": f"Bearer {token}"}


def text_in(answer: Mapping[str, Any], name: str) -> str:
    """Return a text of an answer. Raises `MoveProblem` if there is none."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise MoveProblem(Problem.WRONG, f"no {name}")
    return value


def number_in(answer: Mapping[str, Any], name: str) -> int:
    """Return a number of an answer. Raises `MoveProblem` if there is none."""
    value = answer.get(name)
    if not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise MoveProblem(Problem.WRONG, f"no {name}")
    return value


def texts_in(answer: Mapping[str, Any], name: str) -> list[str]:
    """Return the texts of a list in an answer; none if there is no such list."""
    value = answer.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _answer(status: int, body: bytes) -> dict[str, Any]:
    if status != 200:
        raise _refusal(status, body)
    if not body:
        return {}
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MoveProblem(Problem.WRONG, "no JSON") from exc
    if not isinstance(answer, dict):
        raise MoveProblem(Problem.WRONG, "no JSON object")
    return answer


def _refusal(status: int, body: bytes) -> MoveProblem:
    name, message = _error_in(body)
    if 400 <= status < 500 and status != 429:
        return OtherServerRefused(status, name, message)
    return MoveProblem(Problem.AWAY, message or f"HTTP {status}")


def _error_in(body: bytes) -> tuple[str, str]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    name, message = (answer.get(key) for key in ("error", "message"))
    return (
        name[:_SAID_CHARACTERS] if isinstance(name, str) else "",
        message[:_SAID_CHARACTERS] if isinstance(message, str) else "",
    )


def _has_expired(response: FetchedResponse) -> bool:
    return response.status in (400, 401) and _error_in(response.body)[0] == "ExpiredToken"


def _problem_of(exc: FetchError) -> MoveProblem:
    if isinstance(exc, FetchTimeout):
        return MoveProblem(Problem.SLOW)
    kind = Problem.WRONG if isinstance(exc, FetchRefused) else Problem.AWAY
    return MoveProblem(kind, exc.reason[:_SAID_CHARACTERS])
