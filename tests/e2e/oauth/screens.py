"""What a browser shows of a page: on which screen, and whether all people can use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.browser import Browser

PHONE: Final = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESKTOP: Final = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}

_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_AUDIT: Final = """
axe.run(document, {runOnly: %s}).then(found => found.violations.flatMap(
  rule => rule.nodes.map(node => `${rule.id}: ${node.html} ${node.failureSummary}`)
))
"""
_WIDTH: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def show_on(browser: Browser, screen: dict[str, Any], scheme: str = "light") -> None:
    """Give the browser the size of a screen, and people's preference."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.command("Emulation.setEmulatedMedia", features=features)
    browser.command("Emulation.setDeviceMetricsOverride", **screen)


def faults(browser: Browser, axe: Path, *expected: str) -> list[str]:
    """What axe-core finds against a page, and what the browser itself complains of.

    What has a word of `expected` in it is left out. Scripts must be allowed: axe-core waits for
    timers.
    """
    browser.evaluate(axe.read_text())
    found: list[str] = browser.evaluate(_AUDIT % _RULES)
    if browser.evaluate(_WIDTH) > 0:
        found.append("the page is wider than the screen")
    found += browser.complaints()
    return [each for each in found if not any(text in each for text in expected)]


@dataclass
class Audit:
    """Looks at one page after another."""

    browser: Browser
    axe: Path
    found: dict[str, list[str]] = field(default_factory=dict)
    """What was found, by the heading of the page."""

    def look(self, title: str, *expected: str) -> None:
        """Look at the page, which has this heading: see `faults`."""
        assert heading(self.browser) == title, self.browser.evaluate("document.body.innerText")
        complaints = faults(self.browser, self.axe, *expected)
        if complaints:
            self.found[title] = complaints


def heading(browser: Browser) -> Any:
    """The heading of the page that a browser shows."""
    return browser.evaluate("document.querySelector('h1')?.textContent")
