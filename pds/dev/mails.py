"""The mails of `pds dev`, on a page of its own instead of in a mailbox."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from typing import Final
from weakref import WeakKeyDictionary

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from pds.context import AppContext
from pds.dev.own_hosts import require_own_host
from pds.mail.message import Mail
from pds.peers.calls import by_first, telling, told

PATH: Final = "/dev/mails"
MAX_KEPT: Final = 50
"""The number of mails kept; new ones displace the oldest, and a stop of the server discards all."""

_SECURITY: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
# Whatever a mail contains, it runs nothing, and has no access to this server.
_MAIL_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src * data:"


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail that was sent, with its number since the start and its time in ISO 8601."""

    number: int
    sent_at: str
    to: str
    subject: str
    text: str
    html: str


class RecentMails:
    """The latest mails, newest first."""

    def __init__(self) -> None:
        self._mails: deque[KeptMail] = deque(maxlen=MAX_KEPT)
        self._numbers = count(1)

    def add(self, mail: Mail) -> None:
        """Keep a mail."""
        sent_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._mails.appendleft(
            KeptMail(next(self._numbers), sent_at, mail.to, mail.subject, mail.text, mail.html)
        )

    def all(self) -> list[KeptMail]:
        """Return the kept mails."""
        return list(self._mails)


_recent: Final[WeakKeyDictionary[AppContext, RecentMails]] = WeakKeyDictionary()
"""The mails of each server in this process."""


@told
def _keep(ctx: AppContext, mail: Mail) -> None:
    _recent.setdefault(ctx, RecentMails()).add(mail)


@by_first
async def _kept(ctx: AppContext) -> list[KeptMail]:
    return _recent.setdefault(ctx, RecentMails()).all()


def show_mails(ctx: AppContext) -> list[web.RouteDef]:
    """Keep the mails that are sent from now on; return the routes that show them, at `PATH`.

    The first process of a server keeps those of all.
    """
    first = ctx.peers.first
    ctx.mailer.on_mail = (
        partial(_keep, ctx) if first is None else lambda mail: first.tell(telling(_keep, mail))
    )
    hostname = ctx.settings.hostname

    async def page(request: web.Request) -> web.Response:
        require_own_host(request, hostname)
        html = _template().render(mails=await _kept(ctx), path=PATH, max_kept=MAX_KEPT)
        return _html(html, _PAGE_POLICY)

    async def as_json(request: web.Request) -> web.Response:
        require_own_host(request, hostname)
        body = orjson.dumps({"mails": [asdict(mail) for mail in await _kept(ctx)]})
        return web.Response(body=body, content_type="application/json", headers=_SECURITY)

    async def one(request: web.Request) -> web.Response:
        require_own_host(request, hostname)
        number = int(request.match_info["number"])
        mail = next((mail for mail in await _kept(ctx) if mail.number == number), None)
        if mail is None:
            return web.Response(status=404, text="This mail is no longer kept.")
        return _html(mail.html, _MAIL_POLICY)

    return [
        web.get(PATH, page),
        web.get(f"{PATH}.json", as_json),
        web.get(rf"{PATH}/{{number:\d{{1,9}}}}.html", one),
    ]


def _html(text: str, policy: str) -> web.Response:
    return web.Response(
        text=text,
        content_type="text/html",
        charset="utf-8",
        headers={**_SECURITY, "Content-Security-Policy": policy},
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("pds.dev", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("mails.html")
