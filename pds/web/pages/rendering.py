"""Templates and headers of pages, on which nothing that strangers wrote can run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import resources
from typing import Any, Final

import jinja2
from aiohttp import web

from pds.translations.language import Language
from pds.translations.languages import ENGLISH
from pds.translations.templates import make_environment

_SHARED: Final = "pds.web.pages"


class Templates:
    """The templates of some packages, which `<area>/<name>` names, in every language.

    Those of `pds.web.pages` itself need no area.
    """

    def __init__(
        self,
        packages: Mapping[str, str],
        *,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        **values: Any,
    ) -> None:
        """`packages` has the package of each area. `values` are known to all templates."""
        self._loader = jinja2.ChoiceLoader(
            [
                jinja2.PrefixLoader(
                    {area: jinja2.PackageLoader(package) for area, package in packages.items()}
                ),
                jinja2.PackageLoader(_SHARED),
            ]
        )
        self._values = values
        self._filters = filters or {}
        self._environments: dict[str, jinja2.Environment] = {}

    def render(self, name: str, language: Language, /, **values: Any) -> str:
        """Return the text of a page. Raises `jinja2.UndefinedError` if a value is missing."""
        return self._environment(language).get_template(name).render(**values)

    def _environment(self, language: Language) -> jinja2.Environment:
        environment = self._environments.get(language.tag)
        if environment is None:
            # One for each language: macros see what belongs to the environment only.
            environment = self._environments[language.tag] = make_environment(
                self._loader, language
            )
            environment.globals |= self._values
            environment.filters |= self._filters
        return environment


def templates_of(package: str) -> jinja2.Environment:
    """Return the English templates of `package`, which extend those of `pds.web.pages`."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader(_SHARED)])
    return make_environment(loader, ENGLISH)


def page_headers(*allowed: str, styles: Iterable[str] = ("'self'",)) -> dict[str, str]:
    """Return the headers of a page that loads a style sheet of its own server and no more.

    `allowed` are further directives of its Content-Security-Policy; `styles` is where style sheets
    come from.
    """
    policy = (
        *(
            "default-src 'none'",
            " ".join(("style-src", *styles)),
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ),
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
