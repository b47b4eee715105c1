"""A directory's limits on new operations, stricter than mere validity.

Old operations may break these rules, so logs are validated without them. The numbers are the
public directory's, except for rotation keys, where the specification is stricter.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from identity.plc_data import InvalidPlcOperation, PlcData
from identity.plc_operation import PlcOperation
from repo.keys import InvalidKey, parse_did_key

MAX_ACCEPTED_BYTES: Final = 4_000
"""Longest operation in DAG-CBOR."""
MAX_ROTATION_KEYS: Final = 5
MAX_ENTRIES: Final = 10
"""Most aliases, services or verification methods."""
MAX_ALIAS_LENGTH: Final = 258
"""The longest handle with its `at://` prefix."""
MAX_ID_LENGTH: Final = 32
MAX_SERVICE_TYPE_LENGTH: Final = 256
MAX_SERVICE_ENDPOINT_LENGTH: Final = 512

_DID_KEY: Final = re.compile(r"did:key:z[1-9A-HJ-NP-Za-km-z]{1,200}").fullmatch


def check_limits(operation: PlcOperation) -> None:
    """Raise `InvalidPlcOperation` unless a directory accepts the size and parts of `operation`."""
    if operation.encoded_bytes > MAX_ACCEPTED_BYTES:
        raise InvalidPlcOperation(
            f"Operation too large ({MAX_ACCEPTED_BYTES} bytes maximum in cbor encoding)"
        )
    if operation.data is not None:
        _check_rotation_keys(operation.data.rotation_keys)
        _check_aliases(operation.data.also_known_as)
        _check_verification_methods(operation.data)
        _check_services(operation.data)


def _check_rotation_keys(keys: tuple[str, ...]) -> None:
    if not keys:
        raise InvalidPlcOperation("Improperly formatted operation, need at least one rotation key")
    if len(keys) > MAX_ROTATION_KEYS:
        raise InvalidPlcOperation(
            f"Improperly formatted operation, too many rotation keys (max {MAX_ROTATION_KEYS})"
        )
    if len(set(keys)) != len(keys):
        raise InvalidPlcOperation("Improperly formatted operation, duplicate rotation key")
    for key in keys:
        try:
            parse_did_key(key)
        except InvalidKey as exc:
            raise InvalidPlcOperation(f"Invalid rotationKey: {key}") from exc


def _check_aliases(aliases: tuple[str, ...]) -> None:
    _check_count(aliases, "alsoKnownAs entries")
    if len(set(aliases)) != len(aliases):
        raise InvalidPlcOperation("duplicate alsoKnownAs entry")
    for alias in aliases:
        _check_length(alias, MAX_ALIAS_LENGTH, "alsoKnownAs entry")


def _check_verification_methods(data: PlcData) -> None:
    _check_count(data.verification_methods, "verificationMethods entries")
    for name, key in data.verification_methods.items():
        _check_length(name, MAX_ID_LENGTH, "Verification Method id")
        # Any kind of key is allowed here, for protocols other than atproto.
        if _DID_KEY(key) is None:
            raise InvalidPlcOperation(f"Invalid verificationMethod key: {key[:100]}")


def _check_services(data: PlcData) -> None:
    _check_count(data.services, "service entries")
    for name, service in data.services.items():
        _check_length(name, MAX_ID_LENGTH, "Service id")
        _check_length(service.type, MAX_SERVICE_TYPE_LENGTH, "Service type")
        _check_length(service.endpoint, MAX_SERVICE_ENDPOINT_LENGTH, "Service endpoint")


def _check_count(entries: Collection[str], what: str) -> None:
    if len(entries) > MAX_ENTRIES:
        raise InvalidPlcOperation(f"Too many {what} (max {MAX_ENTRIES})")


def _check_length(text: str, most: int, what: str) -> None:
    if len(text) > most:
        raise InvalidPlcOperation(f"{what} too long (max {most})")
