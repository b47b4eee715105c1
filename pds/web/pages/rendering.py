"""Templates, style sheet and headers of pages, on which nothing that strangers wrote can run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Final

import jinja2
from aiohttp import web

_SHARED: Final = "pds.web.pages"


def templates_of(package: str) -> jinja2.Environment:
    """Return the templates of `package`, which has a `base.html` that extends `page.html` here.

    Values are escaped, and one that is missing is an error.
    """
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader(_SHARED)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_headers(*allowed: str) -> dict[str, str]:
    """Return the headers of a page that loads a style sheet of its own server and no more.

    `allowed` are further directives of its Content-Security-Policy.
    """
    policy = (
        *("default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
        *allowed,
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def file_handler(
    name: str, content_type: str, headers: Mapping[str, str], *, package: str = _SHARED
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler that serves a file from the templates' directory of `package`."""
    text = resources.files(package).joinpath("templates", name).read_text("utf-8")

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type, headers=headers)

    return answer
