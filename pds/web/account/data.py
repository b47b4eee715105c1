"""The page for downloading all data of an account, and the download."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import hdrs, web

from pds.reporting import format_size
from pds.repos.export import measure, open_export
from pds.web.account.session import People, Person
from pds.web.pages.form import Form
from pds.web.pages.visit import Visit
from pds.xrpc.streaming import send_stream

_PATH = "/account/data"


def data_routes(people: People) -> Iterator[web.RouteDef]:
    """Yield the page and its form."""
    yield people.get(_PATH, _show, recent=True)
    yield people.post(_PATH, _download, recent=True)


async def _show(visit: Visit, person: Person) -> web.StreamResponse:
    records, blobs, missing, used = await visit.site.ctx.actor_store.read_in_thread(
        person.account.did, measure
    )
    return visit.page(
        "account/data.html",
        account=person.account,
        records=records,
        blobs=blobs,
        missing=missing,
        used=format_size(used),
    )


async def _download(visit: Visit, person: Person, _form: Form) -> web.StreamResponse:
    ctx, did = visit.site.ctx, person.account.did
    response = web.StreamResponse()
    response.content_type = "application/zip"
    name = did.replace(":", "-")
    response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}.zip"'
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    async with (
        ctx.streams.repos.turn(visit.request, visit.address_group),
        open_export(ctx, did) as (size_bytes, parts),
    ):
        # So browsers show a bar.
        response.content_length = size_bytes
        return await send_stream(visit.request, response, parts)
