"""A client's body on its way to a service: read first if it is short, else part by part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs

from pds.proxy.headers import body_headers
from pds.proxy.watch import Watch
from pds.xrpc.body import iter_packed_body

if TYPE_CHECKING:
    from aiohttp import web
    from multidict import CIMultiDict

HELD_BYTES: Final = 128 * 1024
"""A body of up to this size is read before a connection to the service is taken for it."""


class Upload:
    """The body of a request, read once, in the task in which the HTTP client sends it."""

    def __init__(self, parts: AsyncIterator[bytes], begin: list[bytes], watch: Watch) -> None:
        self.failure: Exception | None = None
        """Why the body ended early, if it did; the HTTP client hides this behind its own error."""
        self._parts = parts
        self._begin = begin
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for part in self._begin:
                self._watch.await_part()
                yield part
            self._watch.await_others()
            async for part in self._parts:
                self._watch.await_part()
                yield part
                self._watch.await_others()
        except Exception as exc:
            self.failure = exc
            raise
        finally:
            self._watch.await_head()


async def take_body(
    request: web.Request, headers: CIMultiDict[str], watch: Watch, *, json: dict[str, Any] | None
) -> bytes | Upload | None:
    """Return the body to send, and add the headers that describe it to `headers`.

    `json` is the body, if it has been read already. Raises what `iter_packed_body` raises.
    """
    if request.method != hdrs.METH_POST:
        return None
    if json is not None:
        headers[hdrs.CONTENT_TYPE] = "application/json"
        return orjson.dumps(json)
    headers.update(body_headers(request))
    if not request.body_exists:
        return None
    parts = iter_packed_body(request)
    begin: list[bytes] = []
    if (request.content_length or 0) > HELD_BYTES:
        return Upload(parts, begin, watch)
    watch.await_others()
    size = 0
    async for part in parts:
        begin.append(part)
        size += len(part)
        if size > HELD_BYTES:
            return Upload(parts, begin, watch)
    return b"".join(begin)
