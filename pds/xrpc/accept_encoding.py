"""The content encodings that a client accepts.

An unencoded answer is always acceptable, unless the client refuses it.
Spec: RFC 9110, section 12.5.3
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web
from aiohttp.web import ContentCoding

from pds.xrpc.errors import XrpcError, invalid_request

PACKED: Final = ("gzip", "deflate")
"""The encodings that this server produces, best first."""
RELAYED: Final = (*PACKED, "br")
"""The encodings in which it forwards answers of other services."""

_IDENTITY: Final = "identity"
_ANY: Final = "*"
_LEAST_WEIGHT: Final = 0.001
_SHOWN_CHARS: Final = 100


@dataclass(slots=True, frozen=True)
class Packing:
    """The client's preferred encoding among `PACKED`, and whether it refuses plain answers."""

    coding: ContentCoding | None
    """None if the client accepts none of them."""
    must: bool


def check_acceptable(request: web.Request, encodings: Iterable[str]) -> None:
    """Raise `XrpcError` unless the client accepts an answer in one of `encodings`, or unencoded.

    The status is 406, or 400 for a malformed header.
    """
    weights = _parse(_header(request))
    if not any(_weight_of(encoding, weights) for encoding in (_IDENTITY, *encodings)):
        message = "this service does not support any of the requested encodings"
        raise XrpcError(406, message=message)


def packing_of(request: web.Request) -> Packing:
    """Choose the encoding of an answer to this request; a malformed header asks for none."""
    return _packing(_header(request))


def _header(request: web.Request) -> str:
    # A list split over several header lines is one list.
    return ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))


# Nearly all clients send one of a handful of values.
@lru_cache(maxsize=128)
def _packing(header: str) -> Packing:
    try:
        weights = _parse(header)
    except XrpcError:
        return Packing(None, must=False)
    best = max(PACKED, key=lambda encoding: _weight_of(encoding, weights))
    if not _weight_of(best, weights):
        return Packing(None, must=False)
    return Packing(ContentCoding(best), must=not _weight_of(_IDENTITY, weights))


def _weight_of(encoding: str, weights: Mapping[str, float]) -> float:
    """Return the client's weight for an encoding; 0 if it refuses it."""
    # Plain answers are acceptable unless they are refused.
    other = 1.0 if encoding == _IDENTITY else 0.0
    return weights.get(encoding, weights.get(_ANY, other))


def _parse(header: str) -> Mapping[str, float]:
    """Return the weights of the named encodings, in lower case. Raises `XrpcError` 400."""
    # Empty elements of a list count for nothing (RFC 9110, section 5.6.1).
    elements = [element for element in header.split(",") if element.strip()]
    return dict(map(_parse_element, elements))


def _parse_element(element: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in element.split(";"))
    weight = 1.0
    if not name or "=" in name or len(parameters) > 1:
        raise _invalid(element)
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        try:
            weight = float(value)
        except ValueError:
            raise _invalid(element) from None
        if key not in ("q", "Q") or not (weight == 0 or _LEAST_WEIGHT <= weight <= 1):
            raise _invalid(element)
    return name.lower(), weight


def _invalid(element: str) -> XrpcError:
    return invalid_request(f'Invalid accept-encoding: "{element[:_SHOWN_CHARS]}"')
