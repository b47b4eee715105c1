"""`Archive`: what the read-only server has besides the context of every server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from pds.car.blob_directory import BlobDirectory
from pds.readonly.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Archive:
    """There is one for each running server."""

    catalog: Catalog
    blobs: BlobDirectory
    waiting: Callable[[], int]
    """Returns how many files are yet to be loaded."""


ARCHIVE: Final = web.AppKey("archive", Archive)
