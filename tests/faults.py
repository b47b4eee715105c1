"""Fault points: ending the process at a chosen step, to test what a crash there leaves.

`stop:` before a name stops the process there instead, but only the first that comes there.

A point is a wrapper that is put around a function of the server, in its process and before it
starts; the zygote does that. The server itself knows nothing of it.
"""

from __future__ import annotations

import inspect
import mmap
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, Final, Literal

STOP: Final = "stop:"


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """A moment before or after a call."""

    when: Literal["before", "after"]
    owner: str
    """The class or module that has the function, as `module:name` or `module`."""
    function: str


_STORE: Final = "actor_store.store:ActorStore"
_LOG: Final = "sequencer.log:EventLog"
_ACCOUNTS: Final = "pds.accounts.accounts:Accounts"
_STATES: Final = "pds.accounts.account_states:AccountStates"
_PLC: Final = "identity.plc:PlcClient"
_JOURNAL: Final = "pds.pending.journal:Journal"
_CREATION: Final = "actor_store.creation"
_DISK_BLOBS: Final = "actor_store.blob_store.disk:DiskBlobStore"
_S3: Final = "actor_store.blob_store.s3"
_HERE: Final = "pds.lifecycle.migration.here"
_THERE: Final = "pds.lifecycle.migration.there"
_UPLOADS: Final = "pds.hold.oci.upload_rows:UploadRows"

POINTS: Final[Mapping[str, FaultPoint]] = {
    # A write. The first is inside the transaction, all rows written.
    "store-commit": FaultPoint("after", "actor_store.transactor:ActorStoreTransactor", "_store"),
    "store-committed": FaultPoint("after", _STORE, "_transact"),
    "log-commit": FaultPoint("before", _LOG, "insert"),
    "log-committed": FaultPoint("after", _LOG, "insert"),
    "upload-written": FaultPoint("after", _DISK_BLOBS, "put_temp"),
    "blob-permanent": FaultPoint("after", _DISK_BLOBS, "make_permanent"),
    # A blob that moves from the disk to S3
    "blob-copied": FaultPoint("after", f"{_S3}:S3BlobStore", "put_temp"),
    "blob-named": FaultPoint("after", f"{_S3}_places:S3Places", "put"),
    "blob-removed": FaultPoint("after", "actor_store.blob_store.disk_places:DiskPlaces", "remove"),
    # An import: its body on disk, all rows written, the COMMIT; the commit that activation makes.
    "import-spooled": FaultPoint("after", "pds.disk.spool:Spool", "fill"),
    "import-loaded": FaultPoint("after", "pds.repos.imports", "import_car"),
    "import-committed": FaultPoint(
        "after", "actor_store.long_transaction:LongTransaction", "commit"
    ),
    "commit-renewed": FaultPoint("after", "pds.lifecycle.states", "_renewed_commit"),
    # Changes of whole accounts
    "journaled": FaultPoint("after", _JOURNAL, "add"),
    "journal-drop": FaultPoint("before", _JOURNAL, "drop"),
    "journal-dropped": FaultPoint("after", _JOURNAL, "drop"),
    "store-filled": FaultPoint("after", _CREATION, "_create_database"),
    "key-written": FaultPoint("after", _CREATION, "write_key"),
    "store-created": FaultPoint("after", _STORE, "create"),
    "plc-sent": FaultPoint("after", _PLC, "send"),
    "rows-created": FaultPoint("after", _ACCOUNTS, "create_account"),
    "handle-row": FaultPoint("after", _ACCOUNTS, "update_handle"),
    "deactivated-row": FaultPoint("after", _STATES, "deactivate"),
    "activated-row": FaultPoint("after", _STATES, "activate"),
    "takedown-row": FaultPoint("after", _STATES, "takedown"),
    "untakedown-row": FaultPoint("after", _STATES, "untakedown"),
    "rows-deleted": FaultPoint("after", _ACCOUNTS, "delete_account"),
    "store-destroyed": FaultPoint("after", _STORE, "destroy"),
    "events-deleted": FaultPoint("after", "sequencer.sequencer:Sequencer", "delete_events_of"),
    # The first start of a hold
    "hold-row": FaultPoint("after", "pds.accounts.register:AccountRegister", "upsert_hosted"),
    "hold-account": FaultPoint("after", "pds.hold.hold", "ensure_account"),
    "hold-records": FaultPoint("after", "pds.hold.hold", "write_records"),
    # Layers of a hold on disk
    "layer-joined": FaultPoint("after", "pds.hold.oci.disk_uploads:DiskUploads", "join"),
    "layer-noted": FaultPoint("after", _UPLOADS, "set_joined"),
    "layer-kept": FaultPoint("after", "pds.hold.oci.disk:DiskOciStorage", "keep"),
    "layer-completed": FaultPoint("after", _UPLOADS, "set_completed"),
    # A layer that moves from the disk to S3
    "layer-copied": FaultPoint("after", "pds.hold.oci.s3_blobs:S3Blobs", "receive"),
    "layer-named": FaultPoint("after", "actor_store.blob_store.s3_arriving:ArrivingObject", "keep"),
    "layer-removed": FaultPoint("after", "pds.hold.oci.disk:DiskOciStorage", "delete"),
    # A move, in the process that makes it: each step done, before that is noted
    "move-begun": FaultPoint("after", "pds.accounts.moves:Moves", "begin"),
    "move-imported-in": FaultPoint("after", f"{_HERE}:NewHere", "import_repo"),
    "move-imported-out": FaultPoint("after", f"{_THERE}:NewThere", "import_repo"),
    "move-blob-in": FaultPoint("after", f"{_HERE}:NewHere", "put_blob"),
    "move-blob-out": FaultPoint("after", f"{_THERE}:NewThere", "put_blob"),
    "move-preferences-in": FaultPoint("after", f"{_HERE}:NewHere", "put_preferences"),
    "move-preferences-out": FaultPoint("after", f"{_THERE}:NewThere", "put_preferences"),
    "move-code-in": FaultPoint("after", f"{_THERE}:OldThere", "send_code"),
    "move-code-out": FaultPoint("after", f"{_HERE}:OldHere", "send_code"),
    "move-pointed-out": FaultPoint("after", f"{_THERE}:NewThere", "submit"),
    "move-activated-in": FaultPoint("after", f"{_HERE}:NewHere", "activate"),
    "move-activated-out": FaultPoint("after", f"{_THERE}:NewThere", "activate"),
    "move-left-in": FaultPoint("after", f"{_THERE}:OldThere", "deactivate"),
    "move-left-out": FaultPoint("after", f"{_HERE}:OldHere", "deactivate"),
    "move-session-kept": FaultPoint(
        "before", "pds.lifecycle.migration.other_sessions:OtherSessions", "end"
    ),
    # Recovery itself
    "store-mended": FaultPoint("after", "pds.recovery.start", "mend_store"),
    "changes-settled": FaultPoint("after", "pds.recovery.start", "settle_all"),
}


def install(name: str) -> None:
    """Let this process end when it reaches the point. Raises `KeyError` for an unknown one."""
    point = POINTS[name.removeprefix(STOP)]
    fault = _stop_the_first() if name.startswith(STOP) else _end
    owner = resolve_name(point.owner)
    setattr(owner, point.function, _wrapped(getattr(owner, point.function), point, fault))


def _end() -> None:
    """End the process: nothing is flushed, closed or answered after this."""
    os.kill(os.getpid(), signal.SIGKILL)


def _stop_the_first() -> Callable[[], None]:
    # Shared with the processes that are forked from this one.
    has_stopped = mmap.mmap(-1, 1)

    def stop() -> None:
        if has_stopped[0] == 0:
            has_stopped[0] = 1
            os.kill(os.getpid(), signal.SIGSTOP)

    return stop


def _wrapped(
    original: Callable[..., Any], point: FaultPoint, fault: Callable[[], None]
) -> Callable[..., Any]:
    def before(*args: Any, **kwargs: Any) -> Any:
        fault()
        return original(*args, **kwargs)

    def after(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        fault()
        return result

    async def after_awaiting(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        fault()
        return result

    if point.when == "before":
        return before
    return after_awaiting if inspect.iscoroutinefunction(original) else after
