"""What the two Litestream daemons are told at their start.

Neither is told any database: those come and go over the control socket. A database that comes that
way takes Litestream's own defaults for whatever stands below `dbs` in a file, such as a check of
its WAL each second; the settings here are those of the daemon as a whole.

The daemon of the service databases compacts and removes old files by itself, as Litestream does
with a file of its own. That of the actors only uploads what has changed: for each of its chores
Litestream lists the files of every database that it has open, again and again, which costs more
than the uploads, and never reaches those that are closed. `compacting` does them instead.

Periodic validation, heartbeats, metrics over HTTP and MCP are off because nothing turns them on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_NEVER: Final = f"{int(200 * 365.25 * 24)}h"
"""200 years. Litestream runs a chore when the time passes a multiple of its interval, counted from
the year 1: around 2001 and 2201. The longest interval that it takes, 292 years, has a multiple in
2030. At its start it also runs the chore once, while it has no database yet."""
_LEVELS_S: Final = (300, 3600, 6 * 3600)
"""How often files are merged into levels 1, 2 and 3.

At each of these times Litestream lists files of every database, also of one that has not changed.
Its own default of 30 seconds for level 1 makes 20,000 files in a week, and all of them are listed
after each merge. States older than some minutes can be restored by these 5 minutes.
"""
_L0_RETENTION: Final = "5m"
"""How long merged files of level 0 stay at least: those who read them come within seconds."""
_L0_CHECKED: Final = "24h"
"""How often they are looked for. That is done after each merge into level 1 as well, which is when
there are any, so that this only finds the last ones of a database that no longer changes."""


@dataclass(slots=True, frozen=True)
class DaemonConfig:
    """The settings of one daemon, as values of Litestream's file."""

    name: str
    """What the operator reads: "services" or "actors"."""
    chores: dict[str, Any]
    shutdown_sync_s: int
    """How long one database may go on trying to send its last changes when it is closed."""
    log_level: str = "warn"
    """At "info", Litestream tells of each compaction of each database."""

    def text(self, socket: Path) -> str:
        """Return the contents of the file. It is JSON, which is YAML that needs no quoting rules.

        The daemon must be told not to expand variables in it.
        """
        settings = {
            "socket": {"enabled": True, "path": str(socket), "permissions": 0o600},
            "logging": {"type": "json", "level": self.log_level},
            "shutdown-sync-timeout": f"{self.shutdown_sync_s}s",
            **self.chores,
        }
        return json.dumps(settings, ensure_ascii=False, indent=1) + "\n"


def services_config(*, retention_days: int) -> DaemonConfig:
    """Return the settings of the daemon that always has the service databases open."""
    chores = {
        "levels": [{"interval": f"{interval}s"} for interval in _LEVELS_S],
        "l0-retention": _L0_RETENTION,
        "l0-retention-check-interval": _L0_CHECKED,
        "snapshot": {"interval": "24h", "retention": f"{retention_days * 24}h"},
    }
    return DaemonConfig("services", chores, shutdown_sync_s=10)


def actors_config() -> DaemonConfig:
    """Return the settings of the daemon that has the stores of some actors open."""
    chores = {
        # Without a level above 0, nothing is ever merged.
        "levels": [],
        "l0-retention": "0s",
        "snapshot": {"interval": _NEVER, "retention": _NEVER},
    }
    # Databases are closed one after the other. All were synced before, so one try each will do.
    return DaemonConfig("actors", chores, shutdown_sync_s=0)
