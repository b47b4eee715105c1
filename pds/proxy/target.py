"""The choice of the service that a request is proxied to.

The `atproto-proxy` header names a service by DID and id; without it the method decides.
Spec: https://atproto.com/specs/xrpc#service-proxying
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from identity.resolver import DidResolutionError, DidResolver
from pds.xrpc.errors import invalid_request
from repo.syntax import InvalidSyntax, parse_did

if TYPE_CHECKING:
    from aiohttp import web

    from pds.config import Settings
    from pds.config.settings import ServiceTarget

HEADER: Final = "atproto-proxy"
APPVIEW_ID: Final = "bsky_appview"
_MODERATION_ID: Final = "atproto_labeler"
CREATE_REPORT: Final = "com.atproto.moderation.createReport"

_MODERATION: Final = frozenset(
    f"tools.ozone.{group}.{name}"
    for group, names in {
        "communication": "createTemplate deleteTemplate listTemplates updateTemplate",
        "moderation": (
            "cancelScheduledActions emitEvent getAccountTimeline getEvent getRecord getRepo "
            "listScheduledActions queryEvents queryStatuses scheduleAction searchRepos"
        ),
        "safelink": "addRule queryEvents queryRules removeRule updateRule",
        "team": "addMember deleteMember listMembers updateMember",
        "verification": "grantVerifications listVerifications revokeVerifications",
    }.items()
    for name in names.split()
)
"""The methods that go to the moderation service, as in the reference."""


@dataclass(slots=True, frozen=True)
class ProxyTarget:
    """A service to proxy a request to: `did` without the id that follows `#`."""

    url: str
    did: str
    service_id: str
    trusted: bool
    """Whether the URL comes from the operator's settings, not from a stranger's DID document."""

    @property
    def reference(self) -> str:
        """The DID with the service's id, as OAuth scopes name it."""
        return f"{self.did}#{self.service_id}"

    @property
    def operators_url(self) -> str | None:
        """The URL of a service configured by the operator; None for any other."""
        return self.url if self.trusted else None


@dataclass(slots=True, frozen=True)
class NamedService:
    """A service that a client has named, not resolved yet."""

    did: str
    service_id: str

    @property
    def reference(self) -> str:
        """The DID with the service's id, as OAuth scopes name it."""
        return f"{self.did}#{self.service_id}"


def choose_service(
    settings: Settings, nsid: str, request: web.Request
) -> ProxyTarget | NamedService:
    """Choose the service for a call of `nsid`. Raises `XrpcError` 400: bad header, no service."""
    named = named_service(request)
    if named is None:
        return default_target(settings, nsid)
    appview = settings.appview
    if appview is None or not is_appview(settings, named):
        return named
    return ProxyTarget(appview.url, appview.did, APPVIEW_ID, trusted=True)


def named_service(request: web.Request) -> NamedService | None:
    """Return the service that a request's header names. Raises `XrpcError` 400 for a bad one."""
    lines = request.headers.getall(HEADER, ())
    return _parse(", ".join(lines)) if any(lines) else None


def is_appview(settings: Settings, named: NamedService) -> bool:
    """Return whether a client has named our own AppView, which needs no resolving."""
    appview = settings.appview
    return appview is not None and named == NamedService(appview.did, APPVIEW_ID)


def default_target(settings: Settings, nsid: str) -> ProxyTarget:
    """Return the service configured for a method. Raises `XrpcError` 400 if there is none."""
    service, service_id = _configured(settings, nsid)
    if service is None:
        raise invalid_request(f"No service configured for {nsid}")
    return ProxyTarget(service.url, service.did, service_id, trusted=True)


async def locate(resolver: DidResolver, service: ProxyTarget | NamedService) -> ProxyTarget:
    """Resolve the URL of a named service. Raises `XrpcError` 400 if there is none."""
    if isinstance(service, ProxyTarget):
        return service
    try:
        document = await resolver.resolve(parse_did(service.did))
    except (InvalidSyntax, DidResolutionError) as exc:
        raise invalid_request("could not resolve proxy did") from exc
    url = document.service_endpoint(service.service_id)
    if url is None:
        raise invalid_request("could not resolve proxy did service url")
    return ProxyTarget(url, service.did, service.service_id, trusted=False)


def _parse(header: str) -> NamedService:
    did, _, service_id = header.partition("#")
    if not did and header:
        raise invalid_request("no did specified in proxy header")
    if not service_id:
        raise invalid_request("no service id specified in proxy header")
    if "#" in service_id:
        raise invalid_request("invalid proxy header format")
    if " " in header:
        raise invalid_request("proxy header cannot contain spaces")
    return NamedService(did, service_id)


def _configured(settings: Settings, nsid: str) -> tuple[ServiceTarget | None, str]:
    if nsid in _MODERATION:
        return settings.mod_service, _MODERATION_ID
    if nsid == CREATE_REPORT:
        return settings.report_service, _MODERATION_ID
    return settings.appview, APPVIEW_ID
