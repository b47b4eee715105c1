"""The host names that pages of `pds dev` answer to.

A browser lets a stranger's page read what comes from the stranger's own host name, and that name
may resolve to this machine (DNS rebinding). Names that nobody else can have are safe, and so are
addresses, which are not resolved.
"""

from __future__ import annotations

from aiohttp import hdrs, web

from identity.addresses import is_address


def require_own_host(request: web.Request, hostname: str) -> None:
    """Raise 403 unless the request is for this machine, or for `hostname`, the server's own.

    The host that a proxy reports does not count: a page can send it as well.
    """
    name = _name_of(request.headers.get(hdrs.HOST, ""))
    if name in (hostname, "localhost") or name.endswith(".localhost") or is_address(name):
        return
    raise web.HTTPForbidden(
        text=f"This page is not shown to {name[:100] or 'requests without a host'}: open it on "
        "localhost. If that is the server's name, start it with PDS_HOSTNAME set to it.\n"
    )


def _name_of(host: str) -> str:
    """Return the name or address in a Host header, in lower case, without a port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()
