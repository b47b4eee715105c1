"""The hold of a world: its DID and settings, and what a registry does with it for its people."""

from __future__ import annotations

from tests.e2e.registry import Registry
from tests.e2e.world import World


def hold_of(world: World) -> str:
    """The DID of the hold."""
    return f"did:web:localhost%3A{world.server.port}"


def environ_of(world: World, **changes: str) -> dict[str, str]:
    """The settings by which the server is a hold whose captain is alice."""
    return {"PDS_HOLD_ENABLED": "true", "PDS_HOLD_OWNER": world.alice.did, **changes}


def registry_of(world: World) -> Registry:
    """A registry that uses the hold."""
    url = f"http://localhost:{world.server.port}"
    return Registry(world.http, url, url, hold_of(world))
