"""The plain text of a mail that comes as HTML, for readers and filters that want text.

Goes over the HTML once, whatever it is: `html.parser` takes time that grows with the square of
the length for some.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Final

_BLOCKS: Final = re.compile(
    "address|article|aside|blockquote|center|dd|div|dl|dt|figure|footer|form|h[1-6]|header|hr|"
    "main|nav|ol|p|pre|section|table|tr|ul"
)
_UNSEEN: Final = frozenset({"script", "style", "template", "title"})
_INSTEAD: Final = {"br": "\n", "li": "\n* ", "td": " ", "th": " "}
_TAG_NAME: Final = re.compile(r"/?[A-Za-z][A-Za-z0-9]*")
_QUOTE_OR_END: Final = re.compile(r"[\"'>]")
_ATTRIBUTE: Final = r"(?<=[\s\"'/]){}\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))"
_HREF: Final = re.compile(_ATTRIBUTE.format("href"), re.IGNORECASE)
_ALT: Final = re.compile(_ATTRIBUTE.format("alt"), re.IGNORECASE)
_SPACES: Final = re.compile(r"[ \t\r\n\f\xa0]+")
_EMPTY_LINES: Final = re.compile(r"\n{3,}")


def html_to_text(html: str) -> str:
    """What a reader would see: a paragraph for each block, and links followed by their address."""
    reader = _Reader()
    for piece in _pieces(html):
        if isinstance(piece, _Tag):
            reader.take_tag(piece)
        else:
            reader.take_text(piece)
    reader.close_link()
    text = "\n".join(_SPACES.sub(" ", line.strip()) for line in "".join(reader.parts).split("\n"))
    return _EMPTY_LINES.sub("\n\n", text).strip() + "\n"


@dataclass(slots=True, frozen=True)
class _Tag:
    name: str
    """In lower case, with the slash of an end tag."""
    source: str

    def attribute(self, pattern: re.Pattern[str]) -> str:
        found = pattern.search(self.source)
        return unescape(next(filter(None, found.groups()), "")) if found else ""


@dataclass(slots=True)
class _Reader:
    """Collects text. Tags that are never closed, or never opened, do no harm."""

    parts: list[str] = field(default_factory=list)
    unseen: str | None = None
    """The element that is being passed over."""
    link: tuple[str, int] | None = None
    """The address of the open link, and where in `parts` its text begins."""

    def take_text(self, text: str) -> None:
        if self.unseen is None:
            self.parts.append(_SPACES.sub(" ", unescape(text)))

    def take_tag(self, tag: _Tag) -> None:
        if self.unseen is not None:
            if tag.name == f"/{self.unseen}":
                self.unseen = None
        elif tag.name in _UNSEEN:
            self.unseen = tag.name
        elif _BLOCKS.fullmatch(tag.name.removeprefix("/")):
            self.parts.append("\n\n")
        elif tag.name in _INSTEAD:
            self.parts.append(_INSTEAD[tag.name])
        elif tag.name == "img":
            self.parts.append(_SPACES.sub(" ", tag.attribute(_ALT)))
        elif tag.name in ("a", "/a"):
            # Links do not nest: one that begins ends the one before.
            self.close_link()
            self.link = (tag.attribute(_HREF), len(self.parts)) if tag.name == "a" else None

    def close_link(self) -> None:
        if self.link is None:
            return
        address, start = self.link
        shown = "".join(self.parts[start:]).strip()
        if address and address != shown and not address.startswith("#"):
            self.parts.append(f" [{address}]" if shown else address)
        self.link = None


def _pieces(html: str) -> Iterator[str | _Tag]:
    """Text and tags in their order. Ends at a comment or tag that does not end."""
    at = 0
    while (start := html.find("<", at)) >= 0:
        yield html[at:start]
        name = _TAG_NAME.match(html, start + 1)
        if name is not None:
            end = _end_of_tag(html, name.end())
            if end >= 0:
                yield _Tag(name[0].lower(), html[name.end() : end])
        elif html.startswith("<!--", start):
            end = html.find("-->", start + 4)
            end = end + 2 if end >= 0 else end
        elif html.startswith(("<!", "<?", "</"), start):
            end = html.find(">", start)
        else:
            yield "<"
            end = start
        if end < 0:
            return
        at = end + 1
    yield html[at:]


def _end_of_tag(html: str, at: int) -> int:
    """Where a tag ends whose attributes begin at `at`, or -1."""
    while (found := _QUOTE_OR_END.search(html, at)) is not None:
        if found[0] == ">":
            return found.start()
        at = html.find(found[0], found.end()) + 1
        if at == 0:
            return -1
    return -1
