"""A browser without scripts: cookies, pages, and the forms on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import aiohttp
from multidict import MultiDict

from tests.pds.conftest import Reply

NAVIGATION = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "cross-site",
    "User-Agent": "Mozilla/5.0 (test)",
}


@dataclass
class PageForm:
    """A form, with the values that it has before anybody types."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)

    def filled(self, **values: str | list[str] | None) -> list[tuple[str, str]]:
        """The fields with some values replaced; None leaves a field out."""
        kept = [each for each in self.fields if each[0] not in values]
        for name, value in values.items():
            many = value if isinstance(value, list) else [] if value is None else [value]
            kept += [(name, each) for each in many]
        return kept


class _Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self.links: dict[str, str] = {}
        self.text = ""
        self._link: tuple[str, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a":
            self._link = (named.get("href") or "", len(self.text))
        elif tag == "form":
            self.forms.append(PageForm(named["action"] or "", named.get("method") or "get"))
        elif tag == "input" and self.forms:
            is_tick = named.get("type") == "checkbox"
            if named.get("name") and (not is_tick or "checked" in named):
                self.forms[-1].fields.append((named["name"] or "", named.get("value") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._link is not None:
            target, start = self._link
            self.links[" ".join(self.text[start:].split())] = target

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass
class Page:
    """What the browser shows."""

    reply: Reply

    def __post_init__(self) -> None:
        parser = _Parts()
        if self.reply.headers.get("Content-Type", "").startswith("text/html"):
            parser.feed(self.reply.body.decode())
        self.forms = parser.forms
        self.links = parser.links
        """Where links lead to, by their texts."""
        self.text = " ".join(parser.text.split())

    @property
    def status(self) -> int:
        return self.reply.status

    def form(self, action: str) -> PageForm:
        """The form whose action ends so."""
        return next(each for each in self.forms if each.action.endswith(action))

    @property
    def answer(self) -> dict[str, str]:
        """What the client gets in the query of the redirect."""
        assert self.status == 303, self.text
        query = parse_qs(urlsplit(self.reply.headers["Location"]).query)
        return {name: value for name, [value] in query.items()}


class Site(Protocol):
    """A server, under the name that the browser knows and the URL where it listens."""

    @property
    def public_url(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def http(self) -> aiohttp.ClientSession: ...


class Browser:
    """Remembers cookies by hand, since the server is reached under another name than its own."""

    def __init__(self, site: Site, **headers: str) -> None:
        self.site = site
        self.cookies: dict[str, str] = {}
        self.headers = headers

    async def open(self, path: str, **params: str) -> Page:
        """Open a page, as a link of an app does."""
        return await self._go("GET", path, dict(NAVIGATION), params=params)

    async def send(self, form: PageForm, **values: str | list[str] | None) -> Page:
        """Fill in a form and send it."""
        origin = self.site.public_url
        headers = {**NAVIGATION, "Sec-Fetch-Site": "same-origin", "Origin": origin}
        return await self._go("POST", form.action, headers, data=form.filled(**values))

    async def _go(self, method: str, path: str, headers: dict[str, str], **more: Any) -> Page:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers |= self.headers | ({"Cookie": cookie} if cookie else {})
        data = more.pop("data", None)
        async with self.site.http.request(
            method,
            self.site.url + path,
            headers=headers,
            data=None if data is None else MultiDict(data),
            allow_redirects=False,
            **more,
        ) as response:
            for morsel in response.cookies.values():
                self.cookies[morsel.key] = morsel.value
            self.site.http.cookie_jar.clear()
            reply = Reply(response.status, response.headers, await response.read(), None)
        return Page(reply)
