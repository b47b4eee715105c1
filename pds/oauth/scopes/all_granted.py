"""The grant of callers whom OAuth scopes do not limit, such as sessions."""

from __future__ import annotations

from typing import Final

from pds.oauth.scopes.granted import GrantedScopes


class _AllGranted(GrantedScopes):
    """What a caller may do whom no OAuth scope limits."""

    __slots__ = ()

    def allows_repo(self, action: str, collection: str) -> bool:
        """Return True."""
        return True

    def allows_rpc(self, lxm: str, aud: str) -> bool:
        """Return True."""
        return True

    def allows_blob(self, media_type: str) -> bool:
        """Return True."""
        return True

    def allows_account(self, attribute: str, action: str) -> bool:
        """Return True."""
        return True

    def allows_identity(self, attribute: str) -> bool:
        """Return True."""
        return True


ALL_GRANTED: Final[GrantedScopes] = _AllGranted(None)
"""For callers whom no OAuth scope limits."""
