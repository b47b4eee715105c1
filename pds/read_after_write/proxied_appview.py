"""The configured AppView, queried as the account whose request is being answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pds.accounts.errors import AccountTakendown
from pds.proxy.answers import call_service
from pds.proxy.on_behalf import token_for
from pds.proxy.target import default_target
from pds.read_after_write.appview import AppViewError
from pds.xrpc.error_map import to_xrpc
from pds.xrpc.errors import XrpcError

if TYPE_CHECKING:
    from pds.xrpc.call import XrpcCall


class ProxiedAppView:
    """An `AppView`: the configured one, even if the client's request names another."""

    def __init__(self, call: XrpcCall) -> None:
        self._call = call

    async def query(self, nsid: str, params: Mapping[str, str | int]) -> Any:
        """See `AppView`. Time and size limits are those of all proxying."""
        call = self._call
        try:
            target = default_target(call.ctx.settings, nsid)
            token = token_for(call, target.did, nsid)
            path = f"/xrpc/{nsid}?{urlencode(params)}"
            return (await call_service(call, target, path, token=token)).json
        except (XrpcError, AccountTakendown) as exc:
            error = to_xrpc(exc)
            raise AppViewError(f"{nsid}: {error.status} {error.name}") from exc
