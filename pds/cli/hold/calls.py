"""What the commands of a hold have in common: settings that enable one, and calls of its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from actor_store.layout import ActorLayout
from pds.cli.environment import load_settings
from pds.cli.failures import CommandFailed
from pds.cli.operator import Server, operate
from pds.config import Settings

HOLD: Final = "/_holdfast/hold"
CREW: Final = f"{HOLD}/crew"
MEMBER: Final = f"{HOLD}/crew/{{member}}"
STATS: Final = f"{HOLD}/stats"
GC: Final = f"{HOLD}/gc"
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_PAGE: Final = "500"


def load_hold_settings(env_file: Path | None) -> Settings:
    """Load the settings of a hold that exists. Raises `CommandFailed` if they have none.

    A command in a wrong or empty directory must not make another hold, with another key.
    """
    settings = load_settings(env_file)
    if not settings.hold.enabled:
        raise CommandFailed(
            "These settings do not make the server a hold: PDS_HOLD_ENABLED is not true.",
            remedy="pds hold init",
        )
    if not ActorLayout(settings.actors_directory).directory(settings.hold_did).exists():
        raise CommandFailed(
            f"There is no hold {settings.hold_did} in {settings.data_directory}. If its server has "
            "never been started, start it; otherwise set PDS_DATA_DIRECTORY to its directory."
        )
    return settings


def ask_hold(
    settings: Settings,
    verb: str,
    path: str,
    *,
    names: Mapping[str, str] = _NOTHING,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Call one route of the hold, running or not. Raises what `operate` raises."""
    return operate(settings, lambda server: server.ask(verb, path, names=names, body=body))


def list_all(
    settings: Settings, path: str, name: str, *, most: int, query: Mapping[str, str] = _NOTHING
) -> list[dict[str, Any]]:
    """Return the entries of every page of a list, but at most `most`."""

    async def collect(server: Server) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async for page in _iter_pages(server, path, query):
            found.extend(page[name])
            if len(found) >= most:
                break
        return found[:most]

    return operate(settings, collect)


async def _iter_pages(
    server: Server, path: str, query: Mapping[str, str]
) -> AsyncIterator[dict[str, Any]]:
    asked = {**query, "limit": _PAGE}
    while True:
        page = await server.ask("GET", path, query=asked)
        yield page
        if "cursor" not in page:
            return
        asked["cursor"] = page["cursor"]
