"""The order in which a request goes: opened by one browser, granted by one account, used once."""

from __future__ import annotations

from pds.oauth.requests.stored import StoredRequest


def is_granted(request: StoredRequest, device_id: str, did: str, *, now_s: float) -> bool:
    """Whether an account granted a request on a device, and its code waits for the client."""
    granted_by = (request.device_id, request.did)
    return (
        request.code is not None and request.expires_at >= now_s and granted_by == (device_id, did)
    )


def problem_of_opening(
    request: StoredRequest, client_id: str | None, device_id: str | None, *, now_s: float
) -> str | None:
    """Return why a request cannot be opened; what is None was not said."""
    if request.did is not None or request.code is not None:
        return "This request was already authorized"
    if request.expires_at < now_s:
        return "This request has expired"
    if client_id is not None and client_id != request.client_id:
        return "This request was initiated for another client"
    if device_id is not None and request.device_id not in (None, device_id):
        return "This request was initiated from another device"
    return None


def problem_of_granting(request: StoredRequest, device_id: str, *, now_s: float) -> str | None:
    """Return why a request cannot be granted on a device."""
    if request.expires_at < now_s:
        return "This request has expired"
    if request.device_id is None:
        return "This request was not initiated"
    if request.device_id != device_id:
        return "This request was initiated from another device"
    if request.did is not None or request.code is not None:
        return "This request was already authorized"
    return None
