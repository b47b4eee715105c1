"""The methods of a hold: those of `io.atcr.hold`, and the standard ones that it extends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pds.hold.methods import blobs, crew, manifests, profile, repo, stats, uploads
from pds.xrpc.methods import XrpcMethod

HOLD_METHODS: tuple[Iterable[XrpcMethod], ...] = (
    blobs.methods,
    crew.methods,
    manifests.methods,
    profile.methods,
    repo.methods,
    stats.methods,
    uploads.methods,
)
"""The collections of methods, a module each."""


def with_hold(methods: Iterable[XrpcMethod]) -> Iterator[XrpcMethod]:
    """Return the methods of a server that is a hold: its own replace those of the same name."""
    own = {method.nsid: method for collection in HOLD_METHODS for method in collection}
    yield from (method for method in methods if method.nsid not in own)
    yield from own.values()
