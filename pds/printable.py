"""Text of strangers as a terminal and a log may show it."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` in one line, where what prints nothing is escaped as in Python.

    Among that is what moves the cursor, ends the line, or turns the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
