"""Converting an HTML mail to plain text, for mail programs and filters that want text.

`html.parser` of Python 3.11 takes quadratic time for some HTML. Here, every pattern also matches at
the end of the text, so nothing is scanned twice.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_MARKUP: Final = re.compile(
    r"""<!--.*?(?:-->|\Z)
    | <(?P<unseen>script|style|template|title)\b.*?(?:</(?P=unseen)\b[^>]*>?|\Z)
    | <(?:[!?]|/(?![a-z]))[^>]*>?
    | <(?P<tag>/?[a-z][a-z0-9]*)(?P<attributes>(?:[^"'>]|"[^"]*(?:"|\Z)|'[^']*(?:'|\Z))*+)>?""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE: Final = r"(?<=[\s\"'/]){}\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))"
_BLOCK: Final = re.compile(
    "/?(?:address|article|aside|blockquote|center|dd|div|dl|dt|figure|footer|form|h[1-6]|header|"
    "hr|main|nav|ol|p|pre|section|table|tr|ul)"
)
_BREAK: Final = "\3"
_INSTEAD: Final = {"br": _BREAK, "li": f"{_BREAK}* ", "td": " ", "th": " "}
_SPACES: Final = re.compile(r"[\x00-\x20\xa0]+")
_LINK: Final = re.compile("\1([^\2]*)\2([^\1]*)")
"""A URL between two marks, and the link text up to the next link or the end of this one."""


def html_to_text(html: str) -> str:
    """Return what a reader would see: paragraphs, and links followed by their URL."""
    # Control characters become spaces, so that only we set marks for links and breaks.
    html = _SPACES.sub(" ", html)
    text = _LINK.sub(_link_in_text, unescape(_MARKUP.sub(_instead_of, html)))
    lines = (_SPACES.sub(" ", line.strip()) for line in text.split(_BREAK))
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _instead_of(markup: re.Match[str]) -> str:
    name = (markup["tag"] or "").lower()
    if name in ("a", "/a"):
        return f"\1{_attribute(markup, 'href')}\2"
    if name == "img":
        return _attribute(markup, "alt")
    return 2 * _BREAK if _BLOCK.fullmatch(name) else _INSTEAD.get(name, "")


def _attribute(markup: re.Match[str], name: str) -> str:
    found = re.search(_ATTRIBUTE.format(name), markup["attributes"], re.IGNORECASE)
    return next(filter(None, found.groups()), "") if found else ""


def _link_in_text(link: re.Match[str]) -> str:
    address, shown = link.groups()
    seen = _SPACES.sub(" ", shown).strip()
    if address in ("", seen) or address.startswith("#"):
        return shown
    return f"{shown} [{address}]" if seen else shown + address
