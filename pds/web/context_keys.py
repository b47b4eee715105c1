"""Where an application carries its context, for the routes outside XRPC."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pds.context import AppContext
from pds.read_context import ReadContext

CONTEXT: Final = web.AppKey("context", AppContext)
"""Only of the application of a full server."""
READ_CONTEXT: Final = web.AppKey("read_context", ReadContext)
