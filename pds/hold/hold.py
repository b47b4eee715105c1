"""`Hold`: the parts of a hold, wired only here, beside the context of the server."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from pds.hold.database import open_hold_database
from pds.hold.denials import Denials
from pds.hold.permissions import Permission
from pds.hold.roster import Roster
from pds.hold.tokens import HoldTokens
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.xrpc.call import ReadCall


class Hold:
    """A hold: its actor's DID, and the parts that serve its methods."""

    def __init__(self, ctx: AppContext) -> None:
        """Open the parts; `start` makes them ready. Raises `DatabaseError`s."""
        self._stack = AsyncExitStack()
        self.ctx = ctx
        self.settings = ctx.settings.hold
        self.url = ctx.settings.hold_url
        self.did = hold_did(self.url)
        self.db = open_hold_database(ctx.settings, ctx.checkpointer)
        self._stack.callback(self.db.close)
        self.roster = Roster(ctx.actor_store, self.did)
        self.tokens = HoldTokens(
            ctx.service_auth,
            ctx.did_resolver,
            did=self.did,
            methods=self.settings.token_methods,
        )
        self.refused: Denials[tuple[str, Permission]] = Denials()
        """Who was refused what."""

    async def start(self) -> None:
        """Make the actor if there is none yet, and bring its records in line with the settings."""

    async def close(self) -> None:
        """Write what is counted, and close every part."""
        await self._stack.aclose()


HOLD: Final = web.AppKey("hold", Hold)
"""The hold of an application that is one."""


def hold_of(call: ReadCall) -> Hold:
    """Return the hold that a method is called on."""
    return call.request.app[HOLD]


def hold_did(url: str) -> Did:
    """Return the did:web of a base URL; a port is kept, percent-encoded."""
    return Did("did:web:" + urlsplit(url).netloc.replace(":", "%3A"))
