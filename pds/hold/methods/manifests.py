"""io.atcr.hold: what registries tell of manifests, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pds.hold.errors import answering, named
from pds.hold.hold import hold_of
from pds.hold.images.manifest import Manifest
from pds.hold.images.pushes import Push
from pds.hold.methods.authenticators import CALLER, require
from pds.hold.oci.digest import parse_digest
from pds.hold.permissions import Permission
from pds.hold.stats.counting import is_repository
from pds.rate_limits.limit import HOUR_S, Limit, by_did
from pds.rate_limits.method_limits import MethodLimits
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.errors import invalid_request
from pds.xrpc.methods import XrpcMethods
from repo.syntax import parse_did

methods = XrpcMethods()

_MAX_BODY_BYTES: Final = 600_000
"""Room for the largest manifest that is accepted, with long media types."""
_POINTS_EACH_HOUR: Final = 20_000


def _points(body: Mapping[str, Any]) -> int:
    """What a notice costs: one point, and one for each record that it may make."""
    if body.get("operation", "push") != "push":
        return 1
    return 1 + len(body["manifest"].get("layers") or ())


_LIMITS: Final = MethodLimits((Limit("", _POINTS_EACH_HOUR, HOUR_S, by_did),), _points)


@methods.method(
    "io.atcr.hold.notifyManifest", auth=CALLER, limits=_LIMITS, max_body_bytes=_MAX_BODY_BYTES
)
async def notify_manifest(call: XrpcCall) -> Answer:
    """io.atcr.hold.notifyManifest: a manifest was pushed or pulled"""
    operation = call.body.get("operation", "push")
    if operation == "push":
        return await _push(call)
    if operation == "pull":
        return await _pull(call)
    raise named("InvalidOperation", "the operation is push or pull")


@methods.method("io.atcr.hold.getLayersForManifest")
async def get_layers_for_manifest(call: XrpcCall) -> Answer:
    """io.atcr.hold.getLayersForManifest: layer records, which everybody may read"""
    return {"layers": await hold_of(call).layers.values_of_manifest(call.params["manifest"])}


async def _push(call: XrpcCall) -> dict[str, Any]:
    body, hold = call.body, hold_of(call)
    caller = await require(call, Permission.WRITE)
    if caller != body["userDid"]:
        raise named("UserMismatch", "a push is announced with a token of the user who pushes")
    repository = _repository(body)
    with answering():
        push = Push(
            user_did=caller,
            repository=repository,
            digest=parse_digest(body["manifestDigest"]),
            manifest=Manifest.parse(body["manifest"]),
            tag=body.get("tag"),
        )
        pushed = await hold.images.pushes.record(push)
    answer: dict[str, Any] = {
        "success": True,
        "operation": "push",
        "statsUpdated": hold.stats.count_push(caller, repository),
        "layersCreated": pushed.layers_created,
        "postCreated": pushed.post_created,
    }
    if pushed.post_uri is not None:
        answer["postUri"] = pushed.post_uri
    return answer


async def _pull(call: XrpcCall) -> dict[str, Any]:
    await require(call, Permission.READ)
    owner = parse_did(call.body["userDid"])
    counted = hold_of(call).stats.count_pull(owner, _repository(call.body))
    return {"success": True, "operation": "pull", "statsUpdated": counted}


def _repository(body: dict[str, Any]) -> str:
    repository: str = body["repository"]
    if not is_repository(repository):
        raise invalid_request("repository is not the name of a repository of images")
    return repository
