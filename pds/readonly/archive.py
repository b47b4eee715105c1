"""`Archive`: what the read-only server has beside the context of every server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from pds.car.blob_directory import BlobDirectory
from pds.readonly.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Archive:
    """One for each running server."""

    catalog: Catalog
    blobs: BlobDirectory


ARCHIVE: Final = web.AppKey("archive", Archive)
