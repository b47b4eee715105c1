"""What a browser is called for the people who use it, such as "Firefox on Linux"."""

from __future__ import annotations

from typing import Final

from pds.translations.language import Language
from pds.web.pages.strangers_texts import on_one_line

_BROWSERS: Final = (
    # Many name those that they resemble, too, so the one that is named by fewest comes first.
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("Vivaldi/", "Vivaldi"), ("YaBrowser/", "Yandex")),
    *(("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox")),
    *(
        ("CriOS/", "Chrome"),
        ("Chromium/", "Chromium"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ),
)
_SYSTEMS: Final = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS")),
    *(("Windows", "Windows"), ("Mac OS X", "macOS"), ("Linux", "Linux")),
)
_LONGEST: Final = 120


def shown_browser(user_agent: str, language: Language) -> str:
    """Return the browser and the system of a `User-Agent` header, or the header if it has none."""
    browser, system = _named(_BROWSERS, user_agent), _named(_SYSTEMS, user_agent)
    if browser and system:
        return language.gettext("%(browser)s on %(system)s", browser=browser, system=system)
    return on_one_line(user_agent, _LONGEST) or language.gettext("unknown browser")


def _named(names: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for sign, name in names if sign in user_agent), None)
