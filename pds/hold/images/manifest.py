"""The manifest of an image: which blobs it names.

It comes in two forms, both from others: told by a registry in `io.atcr.hold.notifyManifest`, and
as an `io.atcr.manifest` record in a user's repository. Source: the OCI image specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pds.hold.oci.digest import Digest, InvalidDigest, parse_digest

MAX_LAYERS: Final = 1_000
"""Docker stops at 127; other artifacts may have more."""
MAX_MANIFESTS: Final = 1_000
"""Entries of an index, such as one for each platform."""
MAX_MEDIA_TYPE: Final = 128
MAX_SIZE_BYTES: Final = 5 * 1024**4
"""The largest object on S3."""
_UNKNOWN_TYPE: Final = "application/octet-stream"


class InvalidManifest(ValueError):
    """The manifest is not one, or is too large. Says where."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as its manifest describes it."""

    digest: Digest
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The blobs that a manifest names; each layer once, in order."""

    layers: tuple[Layer, ...]
    others: frozenset[Digest]
    """Its config, and the manifests of an index."""

    @property
    def digests(self) -> frozenset[Digest]:
        """Every digest that the manifest names."""
        return self.others.union(layer.digest for layer in self.layers)

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Manifest:
        """Read a manifest that a client has sent. Raises `InvalidManifest`."""
        layers = {
            layer.digest: layer
            for layer in (
                Layer(_digest(entry, path), _size(entry, path), _media_type(entry, path))
                for path, entry in _entries(value, "layers", MAX_LAYERS)
            )
        }
        others = {
            _digest(entry, path) for path, entry in _entries(value, "manifests", MAX_MANIFESTS)
        }
        config = value.get("config")
        if config is not None:
            others.add(_digest(_object(config, "config"), "config"))
        return cls(tuple(layers.values()), frozenset(others))


def named_digests(value: Mapping[str, Any]) -> frozenset[str]:
    """Return every digest that a manifest record names, whatever else is wrong with it.

    `value` comes from another server; the caller has bounded its size.
    """
    lists = (value.get("layers"), value.get("manifests"), [value.get("config")])
    entries = (entry for each in lists if isinstance(each, list) for entry in each)
    named = (entry.get("digest") for entry in entries if isinstance(entry, dict))
    found = (*named, value.get("digest"))
    return frozenset(each for each in found if isinstance(each, str) and _is_digest(each))


def _entries(
    value: Mapping[str, Any], name: str, limit: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    entries = value.get(name)
    if entries is None:
        return
    if not isinstance(entries, list):
        raise InvalidManifest(f"manifest.{name} is not a list")
    if len(entries) > limit:
        raise InvalidManifest(f"manifest.{name} has more than {limit} entries")
    for number, entry in enumerate(entries):
        path = f"{name}[{number}]"
        yield path, _object(entry, path)


def _object(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidManifest(f"manifest.{path} is not an object")
    return value


def _digest(entry: Mapping[str, Any], path: str) -> Digest:
    digest = entry.get("digest")
    try:
        return parse_digest(digest if isinstance(digest, str) else "")
    except InvalidDigest as exc:
        raise InvalidManifest(f"manifest.{path}.digest is {exc}") from exc


def _size(entry: Mapping[str, Any], path: str) -> int:
    size = entry.get("size", 0)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE_BYTES:
        raise InvalidManifest(f"manifest.{path}.size is not the size of a blob")
    return size


def _media_type(entry: Mapping[str, Any], path: str) -> str:
    media_type = entry.get("mediaType") or _UNKNOWN_TYPE
    if not isinstance(media_type, str) or len(media_type) > MAX_MEDIA_TYPE:
        raise InvalidManifest(f"manifest.{path}.mediaType is not a media type")
    return media_type


def _is_digest(text: str) -> bool:
    try:
        parse_digest(text)
    except InvalidDigest:
        return False
    return True
