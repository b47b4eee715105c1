"""Where `pds car import` sends an account and its blobs: the operator's routes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pds.cli.failures import CommandFailed
from pds.reporting import Progress
from repo.cid import Cid

if TYPE_CHECKING:
    from pds.cli.operator import Server
    from repo.syntax import Did

_BLOBS: Final = "/_holdfast/blobs/{account}"
_PAGE: Final = 1_000
_LOOK_S: Final = 1.0


class ImportTarget:
    """Takes an account and its blobs. Methods raise what an operator can correct."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def bring_account(
        self, chunks: AsyncIterable[bytes], asked: Mapping[str, str], progress: Progress
    ) -> dict[str, Any]:
        """Import a CAR and return the result for the account.

        `asked` has the parameters of `pds.web.operator.imports.import_car`.
        """
        ticket = secrets.token_hex(8)
        showing = asyncio.create_task(self._show_place(ticket, progress))
        try:
            return await self._server.ask(
                "POST", "/_holdfast/import", query={**asked, "ticket": ticket}, body=chunks
            )
        finally:
            showing.cancel()
            await asyncio.wait((showing,))

    async def _show_place(self, ticket: str, progress: Progress) -> None:
        """Report repeatedly the place of the import in the queue."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                imports = (await self._server.ask("GET", "/_holdfast/imports"))["imports"]
            except CommandFailed:
                continue  # The upload reports what is wrong.
            place = next((one.get("place") for one in imports if one.get("ticket") == ticket), None)
            if place is not None:
                progress("place in the queue", *place)

    async def list_missing(self, did: Did, *, after: str | None) -> list[Cid]:
        """Return a page of blobs that the account lacks; an empty page is the last."""
        query = {"limit": str(_PAGE), **({} if after is None else {"cursor": after})}
        page = await self._server.ask("GET", _BLOBS, names={"account": did}, query=query)
        return [Cid.parse(text) for text in page["missing"]]

    async def bring_blob(self, did: Did, cid: Cid, chunks: AsyncIterable[bytes]) -> None:
        """Import one missing blob."""
        names = {"account": did, "cid": str(cid)}
        await self._server.ask("PUT", f"{_BLOBS}/{{cid}}", names=names, body=chunks)
