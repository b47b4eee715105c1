"""`/admin/invites`: all invite codes, new ones, and ending single ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiohttp import web

from pds.accounts.invite_codes import ADMIN
from pds.translations.language import deferred as _
from pds.web.admin.desk import ROOT, AdminVisit, Desk
from pds.web.admin.views import path_of
from pds.web.pages.errors import PageError
from pds.web.pages.form import Form

_PAGE: Final = 50
_SHOWN_USES: Final = 10
MOST_CODES: Final = 100
MOST_USES: Final = 1_000_000


def invites_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page and its forms."""
    yield desk.get("/invites", _show)
    yield desk.post("/invites/create", _create)
    yield desk.post("/invites/disable", _disable)


async def _show(visit: AdminVisit) -> web.StreamResponse:
    return _page(visit)


def _page(
    visit: AdminVisit, *, problem: str = "", form: Form | None = None, made: tuple[str, ...] = ()
) -> web.Response:
    if visit.ctx.entryway is not None:
        raise PageError(404, _("The entryway of this server has the invite codes."))
    before = visit.number("before")
    codes, more = visit.ctx.accounts.invites.newest(limit=_PAGE, before=before)
    owners = visit.ctx.accounts.store.find_many(
        [each.for_account for each in codes if each.for_account != ADMIN]
    )
    return visit.page(
        "invites.html",
        problem=problem,
        typed={name: "" if form is None else form.text(name)[:300] for name in _FIELDS},
        made=made,
        is_required=visit.ctx.settings.invites.required,
        codes=[
            {
                "code": each.code,
                "uses": each.uses[:_SHOWN_USES],
                "used": len(each.uses),
                "available": each.available,
                "disabled": each.disabled,
                "used_up": each.used_up,
                "owner": owner.shown_handle if (owner := owners.get(each.for_account)) else "",
                "owner_path": path_of(each.for_account) if owner else "",
                "created_at": each.created_at,
            }
            for each in codes
        ],
        path_of=path_of,
        is_first=before is None,
        next=more and f"{ROOT}/invites?before={more}",
    )


async def _create(visit: AdminVisit, form: Form) -> web.StreamResponse:
    count, uses = (_parse_number(form.text(name)) for name in ("count", "uses"))
    problem = ""
    if not 1 <= count <= MOST_CODES:
        problem = visit.visit.gettext(
            _("Type a number of codes from 1 to %(most)s."), most=MOST_CODES
        )
    elif not 1 <= uses <= MOST_USES:
        problem = visit.visit.gettext(
            _("Type a number of uses from 1 to %(most)s."), most=MOST_USES
        )
    account, owner = form.text("account").strip().removeprefix("@"), ADMIN
    if not problem and account:
        found = visit.ctx.accounts.find_account(account[:300], include_inactive=True)
        if found is None:
            problem = visit.visit.gettext(_("There is no such account here."))
        else:
            owner = found.did
    if problem or visit.ctx.entryway is not None:
        return _page(visit, problem=problem, form=form)
    made = await visit.ctx.accounts.invites.create([owner], count=count, uses=uses)
    subject = "" if owner == ADMIN else owner
    await visit.note("create-invites", subject, f"{count} × {uses}")
    return _page(visit, made=tuple(made[owner]))


async def _disable(visit: AdminVisit, form: Form) -> web.StreamResponse:
    code = form.text("code")[:300]
    if visit.ctx.entryway is not None or not visit.ctx.accounts.invites.known([code]):
        raise PageError(404, _("There is no such invite code here."))
    await visit.ctx.accounts.invites.disable([code], [])
    await visit.note("disable-invite", code)
    return visit.back("/invites", _("The code %(code)s cannot be used any more."), code=code)


def _parse_number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


_FIELDS: Final = ("count", "uses", "account")
