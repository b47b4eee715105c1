"""The recovery of a restored data directory, and the server whose copy it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.errors import DatabaseError
from identity.plc import PlcError
from pds.config import Settings, read_settings
from pds.config.errors import ConfigError
from pds.config.hold.secrets_file import find_hold_env, make_hold_env
from pds.config.reading import read_unchecked
from pds.disk.data_directory import DataDirectoryError, find_holder
from pds.monitoring.logs import configure_logs
from pds.replication.restore.finishing import finish
from pds.replication.restore.target import RestoreTarget, scratch_environ

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST_START: Final = "The first start makes the databases agree."


@dataclass(frozen=True, slots=True)
class Original:
    """The server whose copy is made, by the settings of this command's environment, if any."""

    values: Mapping[str, str]
    """Its variables; of a machine that has no settings yet, those of the shell."""
    settings: Settings
    """They may be unusable: see `is_usable`."""
    is_usable: bool
    """Whether a server could start with the settings."""

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Original:
        """Read the settings, which may lack anything."""
        settings, problems = read_unchecked(values)
        return cls(values, settings, not problems)

    def is_at(self, directory: Path) -> bool:
        """Whether a directory is that of the settings, so that their other locations count."""
        named = self.values.get("PDS_DATA_DIRECTORY")
        return bool(named) and Path(named or "").absolute() == directory.absolute()

    def target(self, directory: Path) -> RestoreTarget:
        """Return where everything goes: where the settings say, or below another directory."""
        if self.is_at(directory):
            return RestoreTarget.of_settings(self.settings)
        on_s3 = self.is_usable and self.settings.blob_directory is None
        return RestoreTarget.within(directory, blobs=not on_s3)

    def live_target(self, directory: Path) -> RestoreTarget | None:
        """Return the files of the server itself, if they are others than those in `directory`."""
        is_other = self.is_usable and not self.is_at(directory)
        return RestoreTarget.of_settings(self.settings) if is_other else None

    def environ_in(self, directory: Path) -> dict[str, str]:
        """Return the variables of a server on the restored directory."""
        values = dict(self.values)
        if not self.is_at(directory):
            values = scratch_environ(values, directory)
        # That of a hold has been restored just now.
        return values | find_hold_env(values)


def recover_copy(original: Original, directory: Path) -> Sequence[str]:
    """Recover a restored directory as its first start would; return what to tell the operator.

    Nothing is done where a server on the original would be disturbed: recovery finishes or undoes
    what had begun, such as a sign-up with its DID.
    """
    own = original.settings.data_directory
    if not original.is_at(directory) and find_holder(own) is not None:
        told = f"The server on {own} runs, so this copy was left as it is."
        return [f"{told} No server may start on it meanwhile."]
    values = original.environ_in(directory)
    if make_hold_env(values):
        return [f"The settings are not complete. {_FIRST_START}"]
    try:
        settings = read_settings(values)
    except ConfigError:
        return [f"The settings are not complete. {_FIRST_START}"]
    try:
        asyncio.run(_recover(settings))
    except (DatabaseError, DataDirectoryError, PlcError, OSError) as exc:
        return [f"Recovery has to wait ({exc}). {_FIRST_START}"]
    except KeyboardInterrupt:
        # Everything is there, and what was found meanwhile has yet to be told.
        return [f"Recovery was interrupted. {_FIRST_START}"]
    return ["The databases agree with each other: what differed is among the events for consumers."]


async def _recover(settings: Settings) -> None:
    # The whole server takes half a second to import.
    from pds.server.in_process import open_in_process

    configure_logs(level="error")

    async def open_and_close(settings: Settings) -> None:
        async with open_in_process(settings):
            pass

    await finish(settings, open_and_close)
