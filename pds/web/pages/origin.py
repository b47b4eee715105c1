"""Where a request comes from, as browsers tell: Fetch Metadata, Origin.

Spec: https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FETCH: Final = "Sec-Fetch-"


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Whether a request opens a page in a tab of its own, as far as the browser tells.

    Not in a frame, and not by a script. Browsers from before 2023 tell nothing.
    """
    return (
        headers.get(_FETCH + "Mode", "navigate") == "navigate"
        and headers.get(_FETCH + "Dest", "document") == "document"
    )


def comes_from(origin: str, headers: Mapping[str, str]) -> bool:
    """Whether a form was sent by a page of `origin`; one of the two headers must say so."""
    site, sent_by = headers.get(_FETCH + "Site"), headers.get("Origin")
    if site is None:
        return sent_by == origin
    # A page without a referrer sends "null", and so does a sandboxed frame of another site.
    return site == "same-origin" and sent_by in (None, "null", origin)
