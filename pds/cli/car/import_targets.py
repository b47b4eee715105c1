"""Where `pds car import` brings an account: to the server that runs, or to its files."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

from pds.cli.failures import CommandFailed
from pds.lifecycle.account_import import AccountImport, import_account
from pds.reporting import Progress
from pds.repos.blobs import import_blob, list_missing_blobs
from repo.cid import Cid
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer
    from pds.context import AppContext

_PAGE: Final = 1_000
_LOOK_S: Final = 1.0


class ImportTarget(Protocol):
    """Takes an account and its blobs. Methods raise what an operator can mend."""

    async def bring_account(
        self, chunks: AsyncIterable[bytes], asked: AccountImport, progress: Progress
    ) -> dict[str, Any]:
        """See `pds.lifecycle.account_import`. Return `ImportedAccount` as JSON."""
        ...

    async def list_missing(self, did: Did, *, after: str | None) -> list[Cid]:
        """A page of blobs that the account lacks; an empty one is the last."""
        ...

    async def bring_blob(self, did: Did, cid: Cid, chunks: AsyncIterable[bytes]) -> None:
        """Bring one of them."""
        ...


class OnServer:
    """The server that runs, as its operator calls it."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server

    async def bring_account(
        self, chunks: AsyncIterable[bytes], asked: AccountImport, progress: Progress
    ) -> dict[str, Any]:
        ticket = secrets.token_hex(8)
        query = {"handle": asked.handle, "email": asked.email, "ticket": ticket}
        if asked.key is not None:
            query["key"] = asked.key.did_key
        if asked.ignores_signature:
            query["ignoreSignature"] = "true"
        given = urlencode({name: value for name, value in query.items() if value is not None})
        showing = asyncio.create_task(self._show_place(ticket, progress))
        try:
            return await self._server.upload(
                "POST",
                f"/_holdfast/import?{given}",
                chunks,
                content_type="application/vnd.ipld.car",
            )
        finally:
            showing.cancel()
            await asyncio.wait((showing,))

    async def _show_place(self, ticket: str, progress: Progress) -> None:
        """Tell again and again which place the import has among those that wait."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                imports = (await self._server.get("/_holdfast/imports"))["imports"]
            except CommandFailed:
                continue  # Whoever uploads is told what is wrong.
            place = next((one.get("place") for one in imports if one.get("ticket") == ticket), None)
            if place is not None:
                progress("place in the queue", *place)

    async def list_missing(self, did: Did, *, after: str | None) -> list[Cid]:
        cursor = "" if after is None else f"&cursor={after}"
        page = await self._server.get(f"{_blobs(did)}?limit={_PAGE}{cursor}")
        return [Cid.parse(text) for text in page["missing"]]

    async def bring_blob(self, did: Did, cid: Cid, chunks: AsyncIterable[bytes]) -> None:
        path = f"{_blobs(did)}/{cid}"
        await self._server.upload("PUT", path, chunks, content_type="application/octet-stream")


class OnFiles:
    """The files of a server that does not run."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx

    async def bring_account(
        self, chunks: AsyncIterable[bytes], asked: AccountImport, progress: Progress
    ) -> dict[str, Any]:
        # Nobody else imports: there is no queue.
        return (await import_account(self._ctx, chunks, asked)).to_json()

    async def list_missing(self, did: Did, *, after: str | None) -> list[Cid]:
        return await list_missing_blobs(self._ctx, did, limit=_PAGE, after=after)

    async def bring_blob(self, did: Did, cid: Cid, chunks: AsyncIterable[bytes]) -> None:
        await import_blob(self._ctx, did, cid, chunks)


def _blobs(did: Did) -> str:
    return f"/_holdfast/blobs/{quote(did, safe=':')}"
