"""com.atproto.server.describeServer: what the server publishes about itself."""

from __future__ import annotations

from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods

methods = XrpcMethods()


@methods.method("com.atproto.server.describeServer")
async def describe_server(call: XrpcCall) -> Answer:
    """com.atproto.server.describeServer"""
    settings = call.ctx.settings
    service, has_signups = settings.service, not settings.hold.only
    links = {
        "privacyPolicy": service.privacy_policy_url,
        "termsOfService": service.terms_of_service_url,
    }
    return {
        "did": settings.service_did,
        "availableUserDomains": list(settings.service_handle_domains) if has_signups else [],
        "inviteCodeRequired": settings.invites.required or not has_signups,
        "blobUploadLimit": service.blob_upload_limit_bytes,
        "links": _present(links),
        "contact": _present({"email": service.contact_email_address}),
    }


def _present(values: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
