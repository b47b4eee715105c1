"""The state of a did:plc, as set by its operations and returned by a directory's `/data`.

Spec: https://web.plc.directory/spec/v0.1/did-plc
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast


class InvalidPlcOperation(ValueError):
    """An operation is malformed, or not allowed at its place in the log."""


@dataclass(slots=True, frozen=True)
class PlcService:
    """One entry of `services`: the type of a service, and its URL."""

    type: str
    endpoint: str


@dataclass(slots=True, frozen=True)
class PlcData:
    """The state of a DID as set by an operation. Keys are did:keys; ids have no `#`."""

    rotation_keys: tuple[str, ...]
    """The keys that may sign the next operation, strongest first."""
    verification_methods: Mapping[str, str]
    also_known_as: tuple[str, ...]
    services: Mapping[str, PlcService]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as spelled in operations and in the directory's `/data`."""
        return {
            "verificationMethods": dict(self.verification_methods),
            "rotationKeys": list(self.rotation_keys),
            "alsoKnownAs": list(self.also_known_as),
            "services": {
                name: {"type": service.type, "endpoint": service.endpoint}
                for name, service in self.services.items()
            },
        }

    @classmethod
    def from_json(cls, value: object) -> PlcData:
        """Read the four fields, ignoring others. Raises `InvalidPlcOperation`."""
        fields = read_object(value, "operation")
        services = read_object(fields.get("services"), "services")
        return cls(
            rotation_keys=read_texts(fields.get("rotationKeys"), "rotationKeys"),
            verification_methods={
                name: read_text(key, f"verificationMethods/{name}")
                for name, key in read_object(
                    fields.get("verificationMethods"), "verificationMethods"
                ).items()
            },
            also_known_as=read_texts(fields.get("alsoKnownAs"), "alsoKnownAs"),
            services={name: _service(entry, name) for name, entry in services.items()},
        )

    def with_handle(self, handle: str) -> PlcData:
        """Return a copy with `handle` in place of the first `at://` alias; others are kept."""
        aliases = list(self.also_known_as)
        at = next((i for i, alias in enumerate(aliases) if alias.startswith("at://")), None)
        aliases[slice(0, 0) if at is None else slice(at, at + 1)] = [f"at://{handle}"]
        return replace(self, also_known_as=tuple(aliases))


def _service(value: object, name: str) -> PlcService:
    entry = read_object(value, f"services/{name}")
    return PlcService(
        type=read_text(entry.get("type"), f"services/{name}/type"),
        endpoint=read_text(entry.get("endpoint"), f"services/{name}/endpoint"),
    )


def read_object(value: object, path: str) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object, else raise `InvalidPlcOperation` naming its `path`."""
    if not isinstance(value, dict):
        raise InvalidPlcOperation(f"Not a valid operation: {path} must be an object")
    return cast("Mapping[str, Any]", value)


def read_texts(value: object, path: str) -> tuple[str, ...]:
    """Return `value` if it is an array of strings; else raise `InvalidPlcOperation`."""
    if not isinstance(value, list):
        raise InvalidPlcOperation(f"Not a valid operation: {path} must be an array")
    return tuple(read_text(item, path) for item in value)


def read_text(value: object, path: str) -> str:
    """Return `value` if it is a string; else raise `InvalidPlcOperation`."""
    if not isinstance(value, str):
        raise InvalidPlcOperation(f"Not a valid operation: {path} must be a string")
    return value
