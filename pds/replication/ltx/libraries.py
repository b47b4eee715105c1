"""The libraries of the extra `replication` that read and write LTX files.

A server that does not replicate runs without them. All of them work on bytes in C or Rust; the LZ4
functions let other threads run meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pds.replication.errors import ReplicationError

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import lz4.block
    import lz4.frame
    from fastcrc import crc64
except ImportError as exc:
    _MISSING = str(exc)

    def _missing(*_args: object, **_options: object) -> NoReturn:
        raise ReplicationError(
            "LTX files cannot be read without the libraries of the extra `replication`: "
            f"pip install 'holdfast-pds[replication]' ({_MISSING})"
        )

    checksum: Callable[[bytes, int], int] = _missing
    compress: Callable[[bytes], bytes] = _missing
    decompress: Callable[[bytes, int], bytes] = _missing
    decompress_frame: Callable[[bytes, int], tuple[bytes, int]] = _missing
    DecompressionError: type[Exception] = ReplicationError
else:
    checksum = crc64.go_iso
    """CRC-64/ISO of some bytes, going on from the checksum of those before them (0: none)."""
    DecompressionError = lz4.block.LZ4BlockError

    def compress(page: bytes) -> bytes:
        """Return a page as an LZ4 block."""
        block: bytes = lz4.block.compress(page, store_size=False)
        return block

    def decompress(block: bytes, page_bytes: int) -> bytes:
        """Return the page of an LZ4 block; raises `DecompressionError` if it is longer."""
        page: bytes = lz4.block.decompress(block, uncompressed_size=page_bytes)
        return page

    def decompress_frame(data: bytes, page_bytes: int) -> tuple[bytes, int]:
        """Return the page of the LZ4 frame at the start of `data`, and the length of the frame.

        Raises `DecompressionError` if the frame is damaged, longer than a page, or incomplete.
        """
        frame = lz4.frame.LZ4FrameDecompressor()
        try:
            # With room for one byte more it reads past the last byte of the page: the end mark.
            page = frame.decompress(data, max_length=page_bytes + 1)
        except (RuntimeError, EOFError) as exc:
            raise DecompressionError(str(exc)) from exc
        if not frame.eof:
            raise DecompressionError("an incomplete LZ4 frame")
        return page, len(data) - len(frame.unused_data or b"")
