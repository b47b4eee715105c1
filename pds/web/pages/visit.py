"""`Visit`: one request of a browser, which is answered with a page or sent to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import hdrs, web
from markupsafe import Markup

from pds.accounts.hashing import Asker
from pds.fairness.presence import while_present
from pds.oauth.devices.device_sessions import Device, Visitor
from pds.translations.asked import ask_for_languages
from pds.translations.language import Language
from pds.translations.languages import language_for
from pds.web.pages.rendering import page_headers
from pds.web.pages.shared import Shared
from pds.web.pages.wanted_languages import language_links, wanted_languages

_SEE_OTHER: Final = 303


@dataclass(slots=True, frozen=True)
class _Counted:
    """A form, as rate limits see it."""

    body: Mapping[str, str]
    caller: str


@dataclass(slots=True)
class Visit:
    """A request for a page. `device` changes with `rotate`, after which it has new cookies."""

    site: Shared
    request: web.Request
    visitor: Visitor
    device: Device
    language: Language
    notice: str = ""
    """What the page before has done, for this page to say."""
    next_notice: str = ""
    """What this request has done, for the next page to say."""

    @property
    def address_group(self) -> str:
        """The client's address, or the network that counts as one."""
        return self.site.ctx.client_addresses.of(self.request).group

    @property
    def asker(self) -> Asker:
        """Who is counted for the passwords that are checked."""
        return Asker(self.address_group, partial(while_present, self.request))

    @property
    def csrf(self) -> str:
        """The token that forms of this browser carry."""
        return self.site.form_tokens.make(self.device.id)

    def hidden(self, **values: str) -> Markup:
        """Return the hidden fields of a form: the token of the browser, and these."""
        field = Markup('<input type="hidden" name="{}" value="{}">')
        fields = ({"csrf": self.csrf} | values).items()
        return Markup("\n").join(field.format(name, value) for name, value in fields)

    async def count(self, nsid: str, *, caller: str = "", **body: str) -> None:
        """Count this as a call of a method, whose limits hold for pages as well.

        The request itself is counted among all of its client when it comes in.

        `caller` is the DID of whoever is signed in. Raises `TooManyRequests`.
        """
        limiter = self.site.limiter
        if limiter is not None:
            await limiter.count_call(self.request, nsid, _Counted(body, caller))

    async def rotate(self) -> None:
        """Give the browser a new session id: copies of the old cookies end here."""
        self.device = await self.site.devices.recognise(self.visitor, rotate=True)

    async def speak(self, tags: Iterable[str]) -> None:
        """Prefer these languages to those of the browser, if the visitor has chosen none here."""
        wanted = wanted_languages(self.request, tags)
        ask_for_languages(", ".join(wanted))
        self.language = await language_for(wanted)

    def gettext(self, text: str, **values: object) -> str:
        """Return a text in the visitor's language, with the values that it names."""
        return self.language.gettext(text, **values)

    def ngettext(self, singular: str, plural: str, count: int, **values: object) -> str:
        """Return the form of a text that goes with a number, which it may name `num`."""
        return self.language.ngettext(singular, plural, count, **values)

    def page(
        self,
        template: str,
        *,
        status: int | None = None,
        form_targets: Iterable[str] = (),
        script: str = "",
        loads_from: Sequence[str] = (),
        **values: Any,
    ) -> web.Response:
        """Render a page that no cache keeps, with status 400 if it tells a `problem`.

        `form_targets` are sources where forms may end besides this server: browsers hold redirects
        after a form to them, too. `script` is the path of the one script of this server that the
        page runs. Scripts, styles and frames may come from `loads_from` as well.
        """
        if status is None:
            status = 400 if values.get("problem") else 200
        sources = ("'self'", *loads_from)
        # No other path may be run: what strangers have uploaded has paths on this server, too.
        own = (self.site.origin + script,) if script else ()
        directives = {"script-src": (*own, *loads_from), "connect-src": sources}
        kinds = directives if script or loads_from else ()
        scripts = (" ".join((kind, *directives[kind])) for kind in kinds)
        frames = (" ".join(("frame-src", *loads_from)),) if loads_from else ()
        targets = " ".join(("form-action", "'self'", *form_targets))
        headers = {
            **page_headers(targets, "img-src 'self'", *scripts, *frames, styles=sources),
            # The forms of these pages need it, to tell that they come from here.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Frame-Options": "DENY",
            hdrs.CACHE_CONTROL: "no-store",
            hdrs.PRAGMA: "no-cache",
        }
        text = self.site.templates.render(
            template,
            self.language,
            csrf=self.hidden(),
            notice=self.notice,
            languages=language_links(self.request),
            **values,
        )
        return web.Response(
            status=status, text=text, content_type="text/html", charset="utf-8", headers=headers
        )

    def redirect(self, path: str, notice: str = "") -> web.Response:
        """Send the browser to a page of this server, on which `notice` is shown once."""
        self.next_notice = notice
        headers = {hdrs.LOCATION: path, hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(status=_SEE_OTHER, headers=headers)
