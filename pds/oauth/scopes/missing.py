"""The refusal of a call that an OAuth token does not allow."""

from __future__ import annotations


class ScopeMissing(Exception):
    """The token lacks `scope`, with which the call would be allowed."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f'Missing required scope "{scope}"')
