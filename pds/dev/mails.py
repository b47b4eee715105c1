"""The mails of `pds dev`, on a page of its own instead of in a mailbox."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Final

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from pds.context import AppContext
from pds.dev.own_hosts import require_own_host
from pds.mail.message import Mail

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

    def find(self, number: int) -> KeptMail | None:
        """Return a mail by its number; None if it is not kept."""
        return next((mail for mail in self._mails if mail.number == number), None)


def show_mails(ctx: AppContext) -> list[web.RouteDef]:
    """Keep the mails that are sent from now on; return the routes that show them, at `PATH`."""
    mails = RecentMails()
    ctx.mailer.on_mail = mails.add
    hostname = ctx.settings.hostname

    async def page(request: web.Request) -> web.Response:
        require_own_host(request, hostname)
        html = _template().render(mails=mails.all(), path=PATH, max_kept=MAX_KEPT)
        return _html(html, _PAGE_POLICY)

    async def as_json(request: web.Request) -> web.Response:
        require_own_host(request, hostname)
        body = orjson.dumps({"mails": [asdict(mail) for mail in mails.all()]})
        return web.Response(body=body, content_type="application/json", headers=_SECURITY)

    async def one(request: web.Request) -> web.Response:
        require_own_host(request, hostname)
        mail = mails.find(int(request.match_info["number"]))
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
