"""`/admin/health`: whether the server can do its work, and what `pds doctor` finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiohttp import web

from database.timestamps import iso_of
from pds.pending.journal import read_damaged
from pds.translations.language import deferred as _
from pds.web.admin.desk import AdminVisit, Desk
from pds.web.admin.views import path_of
from pds.web.pages.form import Form
from pds.web.pages.strangers_texts import on_one_line

_CHARACTERS: Final = 1000
_SHOWN_DAMAGED: Final = 100


def health_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the page, and the form that starts an examination."""
    yield desk.get("/health", _show)
    yield desk.post("/health", _examine)


async def _show(visit: AdminVisit) -> web.StreamResponse:
    examination = visit.admin.examinations.newest()
    damaged = sorted(read_damaged(visit.ctx.accounts.db))
    return visit.page(
        "health.html",
        failures=await visit.ctx.health.failures(),
        damaged=[(did, path_of(did)) for did in damaged[:_SHOWN_DAMAGED]],
        damaged_count=len(damaged),
        examination=examination,
        started_at=examination and iso_of(examination.started_at),
        is_running=examination is not None and examination.finished_at is None,
        can_examine=visit.admin.examinations.environ is not None,
        findings=[]
        if examination is None
        else [
            {
                "check": each.check,
                "status": each.status,
                "subject": on_one_line(each.subject, _CHARACTERS),
                "message": on_one_line(each.message, _CHARACTERS),
                "remedy": on_one_line(each.remedy, _CHARACTERS),
            }
            for each in examination.findings
        ],
    )


async def _examine(visit: AdminVisit, form: Form) -> web.StreamResponse:
    begun = await visit.admin.examinations.begin(offline=not form.has("network"))
    if not begun:
        return visit.back("/health", _("An examination is running already."))
    await visit.note("examine")
    return visit.back("/health", _("The examination has begun. Load this page again in a minute."))
