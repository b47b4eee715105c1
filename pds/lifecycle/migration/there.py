"""The other server of a move: the old one of an account that moves in, or the new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from identity.resolver import DidResolutionError
from pds.config.addresses import is_same_server
from pds.lifecycle.migration.errors import MoveProblem, OtherServerRefused, Problem
from pds.lifecycle.migration.other_server import OtherServer, number_in, text_in, texts_in
from pds.lifecycle.migration.servers import BlobNotTaken, Contents
from repo.cid import Cid, InvalidCid
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext

_NO_CODES: Final = ("InvalidToken", "ExpiredToken", "TokenRequired")
_CAR: Final = "application/vnd.ipld.car"
_COUNTING_S: Final = 60.0
"""For all pages of a list of blobs: a server may make up as many as it likes."""


class OldThere:
    """The other server as the old one: see `OldServer`."""

    def __init__(self, did: Did, server: OtherServer) -> None:
        self._did = did
        self._server = server

    async def contents(self) -> Contents:
        session = await self._server.query("com.atproto.server.getSession")
        status = await self._server.query("com.atproto.server.checkAccountStatus")
        expected = number_in(status, "expectedBlobs")
        storage = status.get("storage")
        used = storage.get("usedBytes") if isinstance(storage, dict) else None
        email = session.get("email")
        return Contents(
            handle=text_in(session, "handle"),
            email=email if isinstance(email, str) else "",
            records=number_in(status, "indexedRecords"),
            blobs=expected,
            # It may have blobs that no record refers to, so numbers of blobs do not tell.
            missing_blobs=await count_missing(self._server) if expected else 0,
            used_bytes=used if isinstance(used, int) else None,
        )

    async def rev(self) -> str:
        answer = await self._server.query(
            "com.atproto.sync.getLatestCommit", {"did": self._did}, is_public=True
        )
        return text_in(answer, "rev")

    @asynccontextmanager
    async def export(self) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._server.download("com.atproto.sync.getRepo", did=self._did) as (_, parts):
            yield parts

    @asynccontextmanager
    async def blob(self, cid: Cid) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        async with self._server.download(
            "com.atproto.sync.getBlob", did=self._did, cid=str(cid)
        ) as opened:
            yield opened

    async def preferences(self) -> list[Any]:
        answer = await self._server.query("app.bsky.actor.getPreferences")
        found = answer.get("preferences")
        return found if isinstance(found, list) else []

    async def send_code(self) -> None:
        await self._server.procedure("com.atproto.identity.requestPlcOperationSignature")

    async def rotation_keys(self) -> list[str]:
        nsid = "com.atproto.identity.getRecommendedDidCredentials"
        return texts_in(await self._server.query(nsid), "rotationKeys")

    async def sign(self, code: str, fields: dict[str, Any]) -> dict[str, Any]:
        body = {"token": code, **fields}
        try:
            answer = await self._server.procedure("com.atproto.identity.signPlcOperation", body)
        except OtherServerRefused as exc:
            if exc.name in _NO_CODES:
                raise MoveProblem(Problem.CODE, exc.said) from exc
            raise
        operation = answer.get("operation")
        if not isinstance(operation, dict):
            raise MoveProblem(Problem.WRONG, "no operation")
        return operation

    async def deactivate(self) -> None:
        if await _is_active(self._server) is not False:
            await self._server.procedure("com.atproto.server.deactivateAccount", {})


class NewThere:
    """The other server as the new one: see `NewServer`."""

    def __init__(self, ctx: AppContext, did: Did, server: OtherServer) -> None:
        self._ctx = ctx
        self._did = did
        self._server = server

    async def import_repo(self, chunks: AsyncIterable[bytes]) -> None:
        try:
            await self._server.upload("com.atproto.repo.importRepo", chunks, content_type=_CAR)
        except OtherServerRefused as exc:
            kind = _refusal_of_upload(exc, Problem.REPOSITORY)
            raise MoveProblem(kind, exc.said) from exc

    async def missing(self, *, after: str | None) -> Sequence[Cid]:
        return await list_missing(self._server, after)

    async def count_missing(self) -> int:
        return await count_missing(self._server)

    async def put_blob(self, cid: Cid, mime_type: str, chunks: AsyncIterable[bytes]) -> None:
        nsid = "com.atproto.repo.uploadBlob"
        try:
            answer = await self._server.upload(nsid, chunks, content_type=mime_type)
        except OtherServerRefused as exc:
            kind = _refusal_of_upload(exc, Problem.REFUSED)
            if kind is Problem.QUOTA:
                raise MoveProblem(kind, exc.said) from exc
            raise BlobNotTaken from exc
        blob = answer.get("blob")
        ref = blob.get("ref") if isinstance(blob, dict) else None
        if not isinstance(ref, dict) or ref.get("$link") != str(cid):
            raise BlobNotTaken

    async def put_preferences(self, preferences: list[Any]) -> None:
        await self._server.procedure("app.bsky.actor.putPreferences", {"preferences": preferences})

    async def did_fields(self) -> dict[str, Any]:
        answer = await self._server.query("com.atproto.identity.getRecommendedDidCredentials")
        names = ("rotationKeys", "alsoKnownAs", "verificationMethods", "services")
        return {name: answer[name] for name in names if name in answer}

    async def submit(self, operation: dict[str, Any]) -> None:
        await self._server.procedure(
            "com.atproto.identity.submitPlcOperation", {"operation": operation}
        )

    async def is_named(self) -> bool:
        try:
            document = await self._ctx.did_resolver.resolve(self._did, force=True)
        except DidResolutionError as exc:
            raise MoveProblem(Problem.DIRECTORY, str(exc)) from exc
        return is_same_server(document.pds_endpoint, self._server.url)

    async def activate(self) -> None:
        # The answer may have been lost: it is not to be announced twice.
        if await _is_active(self._server) is not True:
            await self._server.procedure("com.atproto.server.activateAccount")

    async def discard(self) -> None:
        # Deleting needs a code by mail: the account stays there, deactivated, as nobody sees it.
        await self._server.procedure("com.atproto.server.deactivateAccount", {})


async def _is_active(server: OtherServer) -> object:
    """Return whether a server says that the account is active there."""
    return (await server.query("com.atproto.server.checkAccountStatus")).get("activated")


async def list_missing(server: OtherServer, after: str | None) -> list[Cid]:
    """Return a page of what a server calls missing, in its order."""
    params = {"limit": "500", **({"cursor": after} if after else {})}
    answer = await server.query("com.atproto.repo.listMissingBlobs", params)
    blobs = answer.get("blobs")
    found: list[Cid] = []
    for blob in blobs[:1000] if isinstance(blobs, list) else []:
        try:
            found.append(Cid.parse(text_in(blob if isinstance(blob, dict) else {}, "cid")))
        except InvalidCid as exc:
            raise MoveProblem(Problem.WRONG, str(exc)) from exc
    return found


async def count_missing(server: OtherServer) -> int:
    """Return how many blobs a server calls missing."""
    total = 0
    after: str | None = None
    try:
        # Somebody waits for the page that shows the number.
        async with asyncio.timeout(_COUNTING_S):
            while page := await list_missing(server, after):
                if after is not None and str(page[-1]) <= after:
                    raise MoveProblem(Problem.WRONG, "an endless list of missing blobs")
                total, after = total + len(page), str(page[-1])
    except TimeoutError as exc:
        raise MoveProblem(Problem.SLOW) from exc
    return total


def _refusal_of_upload(exc: OtherServerRefused, other: Problem) -> Problem:
    if "Quota" in exc.name:
        return Problem.QUOTA
    return Problem.TOO_LARGE if exc.status == 413 else other
