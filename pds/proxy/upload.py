"""A client's body on its way to a service, never more of it in memory than one part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pds.proxy.watch import Watch
from pds.xrpc.body import iter_packed_body

if TYPE_CHECKING:
    from aiohttp import web


class Upload:
    """The body of a request, read once, in the task by which the HTTP client sends it on."""

    def __init__(self, request: web.Request, watch: Watch) -> None:
        self.failure: Exception | None = None
        """Why the body has ended early, if it has; the HTTP client hides it behind its own."""
        self._request = request
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._watch.await_upload()
        try:
            async for part in iter_packed_body(self._request):
                self._watch.await_part()
                yield part
                self._watch.await_upload()
        except Exception as exc:
            self.failure = exc
            raise
        finally:
            self._watch.await_head()
