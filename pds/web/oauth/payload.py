"""The body of a request to the endpoints for clients: a form or JSON, bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from pds.oauth.errors import InvalidRequest
from pds.web.pages.fields import InvalidForm, parse_fields
from pds.xrpc.body import parse_json, read_json
from pds.xrpc.errors import XrpcError

LIMIT_BYTES: Final = 100 * 1024
MAX_FIELDS: Final = 100
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"


async def read_payload(request: web.Request) -> Mapping[str, Any]:
    """Return the fields of a form or of a JSON object.

    Raises `InvalidRequest`, and `XrpcError`: 408, 413, 415.
    """
    kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind not in (_FORM, _JSON):
        raise XrpcError(415, message=f"Unsupported content-type: {kind[:100]}")
    raw = await read_json(request, LIMIT_BYTES)
    if kind == _FORM:
        return parse_form(raw)
    try:
        body = parse_json(raw)
    except XrpcError as exc:
        raise InvalidRequest("Invalid JSON") from exc
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be an object")
    return body


def parse_form(raw: bytes) -> dict[str, str]:
    """Return the fields of a form. Raises `InvalidRequest` if one is repeated (RFC 6749, 3.2)."""
    try:
        fields = parse_fields(raw, max_fields=MAX_FIELDS)
    except InvalidForm as exc:
        raise InvalidRequest(str(exc)) from exc
    values = dict(fields)
    if len(values) != len(fields):
        raise InvalidRequest("A parameter is repeated")
    return values
