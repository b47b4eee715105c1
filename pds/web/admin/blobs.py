"""`/admin/blobs`: files of accounts: the largest, those that are missing, and takedowns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from aiohttp import web

from actor_store.errors import ActorStoreDamaged, BlobNotFound, RepoNotFound
from database.timestamps import now_iso
from pds.reporting import format_size
from pds.repos.takedowns import set_blob_takedown
from pds.translations.language import deferred as _
from pds.web.admin.account import find_account
from pds.web.admin.desk import ROOT, AdminVisit, Desk
from pds.web.admin.views import LONGEST, AccountView, path_of
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form
from pds.web.pages.strangers_texts import on_one_line
from repo.cid import Cid, InvalidCid

if TYPE_CHECKING:
    from actor_store.blobs import StoredBlob
    from actor_store.reader import ActorStoreReader
    from pds.accounts.account import ActorAccount

_SHOWN: Final = 50
_PAGE: Final = 50
"""Accounts that are asked for at a time."""
_LOOKING_S: Final = 1.5
"""How long one page looks through accounts; the next one goes on."""
_REF_CHARACTERS: Final = 300


def blobs_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the pages of the server's and of an account's files, and their forms."""
    yield desk.get("/blobs", _show_all)
    yield desk.get("/accounts/{did}/blobs", _show)
    yield desk.post("/accounts/{did}/blobs/takedown", _take_down)
    yield desk.post("/accounts/{did}/blobs/restore", _restore)


@dataclass(slots=True)
class _Found:
    """What looking through accounts has found."""

    accounts: int = 0
    largest: list[tuple[StoredBlob, ActorAccount]] = field(default_factory=list)
    missing: list[tuple[ActorAccount, int]] = field(default_factory=list)
    next: str = ""


async def _show_all(visit: AdminVisit) -> web.StreamResponse:
    who = visit.query("account").strip().removeprefix("@")
    if who:
        account = visit.ctx.accounts.find_account(who, include_inactive=True)
        if account is not None:
            return visit.visit.redirect(f"{path_of(account.did)}/blobs")
    survey = visit.ctx.storage.latest
    after = visit.query("after")
    found = await _look(visit, after) if visit.query("look") else None
    return visit.page(
        "blobs.html",
        who=who,
        totals=None if survey is None else survey.totals,
        format_size=format_size,
        in_bucket=visit.ctx.bucket is not None,
        found=found,
        largest=[] if found is None else [_row(blob, one) for blob, one in found.largest],
        missing=[]
        if found is None
        else [(AccountView.of(one), count) for one, count in found.missing],
        look=f"{ROOT}/blobs?look=1",
        next=found and found.next and f"{ROOT}/blobs?{urlencode({'look': 1, 'after': found.next})}",
    )


async def _look(visit: AdminVisit, after: str) -> _Found:
    """Look through accounts, oldest first, for a moment. Their databases are read in threads."""
    found, until_s = _Found(next=after), time.monotonic() + _LOOKING_S
    while True:
        created_at, _, did = found.next.partition(" ")
        page = visit.ctx.accounts.store.list_page(
            limit=_PAGE, after=(created_at, did) if did else None
        )
        for account in page:
            await _look_at(visit, account, found)
            found.next = f"{account.created_at} {account.did}"
            if time.monotonic() > until_s:
                return found
        if len(page) < _PAGE:
            found.next = ""
            return found


async def _look_at(visit: AdminVisit, account: ActorAccount, found: _Found) -> None:
    found.accounts += 1
    try:
        largest, missing = await visit.ctx.actor_store.read_in_thread(
            account.did,
            lambda actor: (actor.blob.list_largest(limit=_SHOWN), actor.blob.count_missing()),
        )
    except (RepoNotFound, ActorStoreDamaged):
        return
    found.largest = nlargest(
        _SHOWN,
        [*found.largest, *((blob, account) for blob in largest)],
        key=lambda each: each[0].size,
    )
    if missing and len(found.missing) < _SHOWN:
        found.missing.append((account, missing))


async def _show(visit: AdminVisit) -> web.StreamResponse:
    return await _page(visit, find_account(visit))


async def _page(visit: AdminVisit, account: ActorAccount, problem: str = "") -> web.Response:
    def read(actor: ActorStoreReader) -> tuple[list[StoredBlob], list[str], int]:
        missing = actor.blob.list_missing(limit=_SHOWN)
        return (
            actor.blob.list_largest(limit=_SHOWN),
            [f"{one.cid}" for one in missing],
            actor.blob.count_missing(),
        )

    try:
        largest, missing, count = await visit.ctx.actor_store.read_in_thread(account.did, read)
    except (RepoNotFound, ActorStoreDamaged) as exc:
        raise PageError(
            404,
            _("The data of this account cannot be read."),
            _("Run an examination on the page Health, and do what it says."),
        ) from exc
    return visit.page(
        "account_blobs.html",
        account=AccountView.of(account),
        largest=[_row(blob, account) for blob in largest],
        missing=missing,
        missing_count=count,
        problem=problem,
    )


async def _take_down(visit: AdminVisit, form: Form) -> web.StreamResponse:
    ref = form.text("reason").strip()[:_REF_CHARACTERS] or now_iso()
    return await _set(visit, form, ref)


async def _restore(visit: AdminVisit, form: Form) -> web.StreamResponse:
    return await _set(visit, form, None)


async def _set(visit: AdminVisit, form: Form, ref: str | None) -> web.StreamResponse:
    account = find_account(visit)
    try:
        cid = Cid.parse(form.text("cid").strip()[:200])
        kept = await set_blob_takedown(visit.ctx, account.did, cid, ref)
    except (InvalidCid, BlobNotFound):
        return await _page(visit, account, visit.visit.gettext(_("The account has no such file.")))
    action = "restore-blob" if ref is None else "takedown-blob"
    await visit.note(action, account.did, f"{cid} {kept or ''}".strip())
    notice = _("The file is no longer taken down.") if ref is None else _("The file is taken down.")
    return visit.back(f"{path_of(account.did).removeprefix(ROOT)}/blobs", notice)


def _row(blob: StoredBlob, account: ActorAccount) -> dict[str, Any]:
    return {
        "account": AccountView.of(account),
        "cid": str(blob.cid),
        "type": on_one_line(blob.mime_type, LONGEST),
        "size": format_size(blob.size),
        "is_temporary": blob.temp_key is not None,
        "ref": on_one_line(blob.takedown_ref or "", LONGEST),
        "created_at": blob.created_at,
    }
