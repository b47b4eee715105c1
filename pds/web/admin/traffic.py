"""`/admin/firehose`, `/admin/crawlers` and `/admin/mails`: what this server sends to others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from database.timestamps import iso_of
from pds.administration.whole_server import look_at_firehose
from pds.config.addresses import parse_base_url
from pds.crawlers import CrawlNotRequested
from pds.translations.language import deferred as _
from pds.web.admin.desk import ROOT, AdminVisit, Desk
from pds.web.admin.views import LONGEST
from pds.web.pages.form import Form
from pds.web.pages.strangers_texts import on_one_line

_PAGE: Final = 50
_is_host: Final = re.compile(
    r"(https?://)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?/?", re.IGNORECASE | re.ASCII
).fullmatch
_DAY_S: Final = 24 * 60 * 60
_MONTH_S: Final = 30 * _DAY_S
_MAIL_STATES: Final = {
    "": _("All mails"),
    "sent": _("Sent"),
    "failed": _("Failed"),
    "unsent": _("Not sent: no mail server is set"),
}


def traffic_routes(desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the pages, and the form that asks a host to crawl."""
    yield desk.get("/firehose", _show_firehose)
    yield desk.get("/crawlers", _show_crawlers)
    yield desk.post("/crawlers", _ask)
    yield desk.get("/mails", _show_mails)


async def _show_firehose(visit: AdminVisit) -> web.StreamResponse:
    firehose = await look_at_firehose(visit.ctx)
    newest = firehose.newest_seq
    return visit.page(
        "firehose.html",
        newest=newest,
        subscribers=[
            {
                "address": each.address,
                "agent": on_one_line(each.user_agent or "", LONGEST),
                "is_live": each.is_live,
                "lag": each.lag_events(newest),
                "seq": each.seq,
                "cursor": each.cursor,
                "connected_at": iso_of(each.connected_at_s),
            }
            for each in firehose.subscribers
        ],
        cut_off=firehose.cut_off,
    )


async def _show_crawlers(visit: AdminVisit) -> web.StreamResponse:
    return _crawlers(visit)


def _crawlers(visit: AdminVisit, *, typed: str = "", problem: str = "") -> web.Response:
    return visit.page(
        "crawlers.html",
        hosts=visit.admin.crawls.hosts(),
        public_host=visit.ctx.settings.public_host,
        typed=typed,
        problem=problem,
    )


async def _ask(visit: AdminVisit, form: Form) -> web.StreamResponse:
    typed = form.text("host").strip()[:300]
    gettext = visit.visit.gettext
    url = _parse_host(visit, typed)
    if url is None:
        problem = gettext(_("This is not a host: type its name, such as relay.example.com."))
        return _crawlers(visit, typed=typed, problem=problem)
    try:
        # A host that is only typed here must not be one of a private network.
        await visit.ctx.crawlers.ask(url, trusted=url in visit.ctx.settings.crawlers)
    except CrawlNotRequested as exc:
        said = on_one_line(str(exc), LONGEST)
        problem = gettext(_("%(host)s did not accept: %(reason)s"), host=url, reason=said)
        return _crawlers(visit, typed=typed, problem=problem)
    await visit.note("request-crawl", url)
    return visit.back("/crawlers", _("%(host)s was asked to crawl this server."), host=url)


def _parse_host(visit: AdminVisit, typed: str) -> str | None:
    """Return the URL of a host; None if the text is none. Those of the settings are taken as is."""
    if typed in visit.ctx.settings.crawlers:
        return typed
    try:
        return parse_base_url(typed) if _is_host(typed) else None
    except ValueError:
        return None


async def _show_mails(visit: AdminVisit) -> web.StreamResponse:
    state, before = visit.query("state"), visit.number("before")
    state = state if state in _MAIL_STATES else ""
    mails = visit.admin.mails.page(limit=_PAGE, before=before, state=state or None)
    more = len(mails) == _PAGE and f"{ROOT}/mails?state={state}&before={mails[-1].id}"
    return visit.page(
        "mails.html",
        state=state,
        states=_MAIL_STATES,
        mails=[
            {
                "at": each.at,
                "recipient": on_one_line(each.recipient, LONGEST),
                "subject": on_one_line(each.subject, LONGEST),
                "state": each.state,
                "reason": on_one_line(each.reason, LONGEST),
            }
            for each in mails
        ],
        today=visit.admin.mails.counts(seconds=_DAY_S),
        month=visit.admin.mails.counts(seconds=_MONTH_S),
        is_first=before is None,
        next=more,
    )
