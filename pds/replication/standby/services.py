"""The databases of the server as a whole: first in each round, because stores may be newer.

`did_cache.sqlite` is left out: a server makes a new one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.replication.restore.target import ACCOUNT, HOLD, SEQUENCER

if TYPE_CHECKING:
    from pds.replication.restore.target import RestoreTarget
    from pds.replication.standby.databases import Databases
    from pds.replication.standby.state import StandbyState

NAMES: Final = (ACCOUNT, SEQUENCER, HOLD)
LOOK_EVERY_S: Final = 10.0
"""How often databases are listed of which the ledger does not tell."""
LOOK_ANYWAY_EVERY_S: Final = 300.0


@dataclass(slots=True)
class Services:
    """The databases of the server in a standby."""

    databases: Databases
    state: StandbyState
    target: RestoreTarget
    problems: dict[str, str] = field(default_factory=dict)
    """Why some are not as new as the replica, by name."""
    time_ms: int = 0
    """When the newest change that they have was noticed on the primary, in Unix milliseconds."""
    _looked_s: dict[str, float] = field(default_factory=dict)

    async def advance(self, newest: dict[str, int], *, anyway: bool = False) -> None:
        """Bring those further that `newest`, from the ledger, tells to be behind.

        Raises what `Databases.advance` raises.
        """
        for name in NAMES:
            if anyway or self._is_due(name, newest.get(name)):
                await self._advance_one(name, self.target.services[name])

    async def _advance_one(self, name: str, path: Path) -> None:
        advanced = await self.databases.advance(name, path)
        self._looked_s[name] = time.monotonic()
        self.time_ms = max(self.time_ms, advanced.time_ms)
        if advanced.problem and not (name == HOLD and advanced.txid == 0):
            self.problems[name] = advanced.problem
        else:
            self.problems.pop(name, None)

    def _is_due(self, name: str, newest: int | None) -> bool:
        looked_s = self._looked_s.get(name)
        if looked_s is None:
            return True
        known = self.state.find(name)
        if newest is not None and newest > (0 if known is None else known.txid):
            return True
        every_s = LOOK_EVERY_S if newest is None else LOOK_ANYWAY_EVERY_S
        return time.monotonic() - looked_s > every_s
