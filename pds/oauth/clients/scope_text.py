"""Scope texts: scopes separated by single spaces, whatever each of them means.

Spec: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
"""

from __future__ import annotations

import re
from typing import Final

ATPROTO: Final = "atproto"
"""The scope without which no client gets anything."""

_SCOPE_TEXT: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")


def is_scope_text(text: str) -> bool:
    """Whether a text is one scope or several, in the characters that are allowed."""
    return _SCOPE_TEXT.fullmatch(text) is not None
