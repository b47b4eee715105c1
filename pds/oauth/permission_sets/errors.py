"""Why a permission set cannot be used."""

from __future__ import annotations


class LexiconUnavailable(Exception):
    """The Lexicon `nsid` cannot be had now; `reason` is for the operator's log."""

    def __init__(self, nsid: str, reason: str) -> None:
        self.nsid = nsid
        self.reason = reason
        super().__init__(f"Could not resolve Lexicon for NSID ({nsid}): {reason}")
