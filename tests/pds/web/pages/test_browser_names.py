"""The names of browsers, from what they send."""

from __future__ import annotations

import pytest

from pds.translations.languages import ENGLISH
from pds.web.pages.browser_names import shown_browser

_LIKE_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "shown"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            "Firefox on Linux",
        ),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_LIKE_CHROME}", "Chrome on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_LIKE_CHROME} Edg/130.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_LIKE_CHROME}", "Chrome on Android"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.5 Safari/605.1.15",
            "Safari on macOS",
        ),
        ("curl/8.5.0", "curl/8.5.0"),
        ("Firefox/\u202e1\n" + "x" * 500, "Firefox/ 1 " + "x" * 109),
        ("", "unknown browser"),
    ],
)
def test_people_recognise_their_browsers(user_agent: str, shown: str) -> None:
    assert shown_browser(user_agent, ENGLISH) == shown
