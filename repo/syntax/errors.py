"""The errors of syntax checks, and how their messages quote the refused text."""

from __future__ import annotations

import json
from typing import Final

MAX_QUOTED: Final = 100
"""Characters of a refused text that a message quotes."""


class InvalidSyntax(ValueError):
    """The text is not of the named `kind`. The message is `Invalid <kind> (got "<text>")`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"Invalid {kind} (got {quoted(text)})")
        self.kind = kind
        """What was expected, as named in messages: `DID`, `handle`, `record key`, …"""


class DisallowedHandleTld(InvalidSyntax):
    """The handle is well formed, but its last label can never be registered."""

    def __init__(self, handle: str) -> None:
        super().__init__("handle", handle)
        self.args = ("Handle TLD is invalid or disallowed",)


def quoted(text: str) -> str:
    """Return `text` as a JSON string, cut at `MAX_QUOTED` characters, always valid in UTF-8."""
    if len(text) > MAX_QUOTED:
        text = text[:MAX_QUOTED] + "…"
    # A lone surrogate, which JSON can smuggle in, would break the encoding of the response.
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
