"""`OciService`: the parts that store the blobs of images, wired only here."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from pds.hold.oci.blobs import Blobs
from pds.hold.oci.finishing import Finisher
from pds.hold.oci.layers import Layers
from pds.hold.oci.opening import open_oci_storage
from pds.hold.oci.sweep import OciUploadSweep
from pds.hold.oci.upload_rows import UploadRows
from pds.hold.oci.uploads import Uploads

if TYPE_CHECKING:
    from database.connection import Database
    from pds.context import AppContext


class OciService:
    """The blobs of a hold, and their uploads."""

    def __init__(self, ctx: AppContext, db: Database) -> None:
        """Use `hold.sqlite` for uploads. Raises `ConfigError` if there is no place for blobs."""
        hold = ctx.settings.hold
        self._stack = AsyncExitStack()
        self.storage = open_oci_storage(ctx.settings, ctx.open_files)
        self._stack.push_async_callback(self.storage.close)
        self.blobs = Blobs(self.storage, ctx.askers)
        self.rows = UploadRows(db)
        self.finisher = Finisher(self.storage, self.blobs, self.rows, verify=hold.verify_uploads)
        self._stack.push_async_callback(self.finisher.close)
        self.uploads = Uploads(
            self.storage, self.blobs, self.rows, self.finisher, url=ctx.settings.hold_url
        )
        self.sweep = OciUploadSweep(self.storage, self.rows, self.uploads, self.finisher)
        self._stack.push_async_callback(self.sweep.close)
        ctx.more_blobs.append(
            Layers(ctx.settings.hold_did, self.storage, self.rows, self.uploads, self.finisher)
        )
        if ctx.blob_move is not None:
            # Before the storage is closed, so that copies under way are dropped.
            self._stack.push_async_callback(ctx.blob_move.close)

    def start(self) -> None:
        """Go on with what the last run has left, and begin to sweep."""
        self.sweep.start()

    async def close(self) -> None:
        """Stop; uploads stay as they are for the next start."""
        await self._stack.aclose()
