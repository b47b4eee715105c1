"""The WAL index of a connection: giving back the memory in which it is mapped.

SQLite maps 32 KiB of the -shm file from the first read until it closes the file, and the system
counts them as memory of this process. They are pages of a file: unmapped, they are the system's to
keep or to drop, and the next access maps them again.

SQLite tells the address by its public interface for files, which apsw does not wrap:
https://www.sqlite.org/c3ref/io_methods.html
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Final

import apsw

_REGION_BYTES: Final = 32_768
"""The size in which SQLite maps a -shm file; a WAL of up to 4,062 frames needs one region."""
_MADV_DONTNEED: Final = 4
_WITH_SHM: Final = 2
"""The version of `sqlite3_io_methods` from which files have `xShmMap`."""

_SHM_MAP = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_void_p),
)


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`."""

    _fields_ = (("version", ctypes.c_int), ("others", ctypes.c_void_p * 12), ("shm_map", _SHM_MAP))


class _File(ctypes.Structure):
    """`sqlite3_file`."""

    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


def unmap_pages(connection: apsw.Connection) -> None:
    """Give back the memory of the connection's WAL index, which must have been read before.

    The index itself stays, with its locks. Connections of this process to the same file share the
    memory, and lose nothing either.
    """
    file = ctypes.POINTER(_File)()
    connection.file_control("main", apsw.SQLITE_FCNTL_FILE_POINTER, ctypes.addressof(file))
    methods = file.contents.methods.contents
    if methods.version < _WITH_SHM:
        return
    address = ctypes.c_void_p()
    # It is mapped already, so this only tells where; it extends nothing.
    failed = methods.shm_map(file, 0, _REGION_BYTES, 0, ctypes.byref(address))
    if not failed and address:
        _madvise()(address, _REGION_BYTES, _MADV_DONTNEED)


@cache
def _madvise() -> Callable[[ctypes.c_void_p, int, int], int]:
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    typed: Callable[[ctypes.c_void_p, int, int], int] = madvise
    return typed
