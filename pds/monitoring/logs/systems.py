"""`LOG_SYSTEMS`: the loggers whose lines are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import structlog

from pds.monitoring.logs.destination import NamedLogger

_OF_REFERENCE: Final[Mapping[str, str]] = {
    "pds:db": "database",
    "pds:actor-store": "actor_store",
    "pds:blob-store": "actor_store",
    "pds:dids": "identity",
    "pds:sequencer": "sequencer",
    "xrpc-server": "pds.xrpc",
}
"""The reference PDS's names for parts that have other names here."""

_ALWAYS: Final = frozenset({"error", "critical", "exception"})


class Systems:
    """The loggers whose lines are shown: the named ones and all below them.

    `pds.xrpc` includes `pds.xrpc.router`. Errors are always shown.
    """

    def __init__(self, names: str | None) -> None:
        """Parse `names`, separated by spaces or commas; if there are none, all lines are shown."""
        systems = [_translate(name) for name in re.split(r"[\s,]+", names or "") if name]
        self._prefixes = tuple(f"{name}." for name in systems)

    def show(self, name: str) -> bool:
        """Whether lines of a logger are shown at any level."""
        return not self._prefixes or f"{name}.".startswith(self._prefixes)

    def processors(self) -> list[structlog.typing.Processor]:
        """Return the processor that drops lines of other loggers; nothing if all are shown."""
        return [self._select] if self._prefixes else []

    def _select(
        self, logger: NamedLogger, method_name: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if method_name in _ALWAYS or self.show(logger.name):
            return event
        raise structlog.DropEvent


def _translate(name: str) -> str:
    return _OF_REFERENCE.get(name) or name.replace(":", ".").replace("-", "_")
