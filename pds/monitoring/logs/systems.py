"""`LOG_SYSTEMS`: the parts of the server whose lines are shown."""

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
"""Names that the reference PDS has for parts which are called otherwise here."""

_ALWAYS: Final = frozenset({"error", "critical", "exception"})


class Systems:
    """The loggers whose lines are shown: those that are named, and all below them.

    `pds.xrpc` stands for `pds.xrpc.router`, too. Errors are shown in any case.
    """

    def __init__(self, names: str | None) -> None:
        """`names` are separated by blanks or commas; without any, everything is shown."""
        systems = [_translate(name) for name in re.split(r"[\s,]+", names or "") if name]
        self._prefixes = tuple(f"{name}." for name in systems)

    def show(self, name: str) -> bool:
        """Whether lines of a logger are shown, whatever their level."""
        return not self._prefixes or f"{name}.".startswith(self._prefixes)

    def processors(self) -> list[structlog.typing.Processor]:
        """The step that drops lines which are not shown; none if all are."""
        return [self._select] if self._prefixes else []

    def _select(
        self, logger: NamedLogger, method_name: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if method_name in _ALWAYS or self.show(logger.name):
            return event
        raise structlog.DropEvent


def _translate(name: str) -> str:
    return _OF_REFERENCE.get(name) or name.replace(":", ".").replace("-", "_")
