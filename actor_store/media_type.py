"""Media types of uploads, recognised by their first bytes.

The bytes take precedence over the client's claim: a record's blob reference must name the
recognised type, and getBlob serves the blob with it. Text has no signature, so text formats (SVG,
HTML, JSON, code) keep the type they were sent with.

Recognition uses the `filetype` library. Where the reference PDS names a format differently, or
knows one that the library does not, the tables here follow the reference, because a record
written through one server must be accepted by the other.
"""

from __future__ import annotations

from typing import Final

import filetype  # type: ignore[import-untyped]

_RENAMED: Final = {
    "application/font-sfnt": "font/ttf",
    "application/x-executable": "application/x-elf",
    "audio/x-aiff": "audio/aiff",
    "audio/x-flac": "audio/flac",
    "audio/x-wav": "audio/wav",
    "image/jpx": "image/jp2",
    "video/x-matroska": "video/matroska",
    "video/x-msvideo": "video/vnd.avi",
}

_SIGNATURES: Final = (
    (0, b"OTTO\0", "font/otf"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (28, b"OpusHead", "audio/ogg; codecs=opus"),
    (28, b"\x80theora", "video/ogg"),
    (4, b"moov", "video/quicktime"),
    (4, b"mdat", "video/quicktime"),
    (4, b"free", "video/quicktime"),
    (4, b"wide", "video/quicktime"),
    (0, b"WEBVTT", "text/vtt"),
    (0, b"BEGIN:VCALENDAR", "text/calendar"),
    (0, b"BEGIN:VCARD", "text/vcard"),
    (0, b"<?xml ", "application/xml"),
    (0, b"\xef\xbb\xbf<?xml ", "application/xml"),
    (0, b"glTF\x02\0\0\0", "model/gltf-binary"),
    (0, b"\0\0\x01\xba\x21", "video/MP1S"),
    (0, b"\0\0\x01\xba\x44", "video/MP2P"),
    (60, b"BOOKMOBI", "application/x-mobipocket-ebook"),
)
"""Offset, bytes at that offset, media type."""

_BRANDS: Final = (
    (b"avif", "image/avif"),
    (b"avis", "image/avif"),
    (b"mif1", "image/heif"),
    (b"msf1", "image/heif-sequence"),
    (b"heic", "image/heic"),
    (b"heix", "image/heic"),
    (b"hevc", "image/heic-sequence"),
    (b"hevx", "image/heic-sequence"),
    (b"qt", "video/quicktime"),
    (b"M4V", "video/x-m4v"),
    (b"M4A", "audio/x-m4a"),
    (b"M4B", "audio/mp4"),
    (b"F4A", "audio/mp4"),
    (b"F4B", "audio/mp4"),
    (b"crx", "image/x-canon-cr3"),
    (b"3g2", "video/3gpp2"),
    (b"3g", "video/3gpp"),
)
"""Media type by prefix of an ISO media file's major brand; all others are MP4."""

_MPEG_TS_PACKET_BYTES: Final = 188
_MPEG_TS_SYNC: Final = 0x47


def media_type_of(head: bytes, content_type: str) -> str:
    """Return the media type of an upload that begins with `head` and was sent as `content_type`.

    This is the type recognised from the first bytes, else `content_type` without its parameters.
    """
    return sniff(head) or content_type.split(";", 1)[0].strip()


def sniff(head: bytes) -> str | None:
    """Return the media type recognised from a file's first bytes, or None."""
    return _iso_media(head) or _by_signature(head) or _by_library(head) or _mpeg(head)


def _iso_media(head: bytes) -> str | None:
    """Recognise MP4 and its relatives by the brand in their first box (ISO/IEC 14496-12, ftyp)."""
    brand = head[8:12]
    if head[4:8] != b"ftyp" or len(brand) < 4 or not 0x20 < brand[0] < 0x7F:
        return None
    return next((kind for start, kind in _BRANDS if brand.startswith(start)), "video/mp4")


def _by_signature(head: bytes) -> str | None:
    return next((kind for at, sign, kind in _SIGNATURES if head.startswith(sign, at)), None)


def _by_library(head: bytes) -> str | None:
    found = filetype.guess_mime(head) if head else None
    return _RENAMED.get(found, found) if found else None


def _mpeg(head: bytes) -> str | None:
    """Recognise an MPEG transport stream by the sync bytes of its first packets."""
    if len(head) <= _MPEG_TS_PACKET_BYTES:
        return None
    synced = head[0] == head[_MPEG_TS_PACKET_BYTES] == _MPEG_TS_SYNC
    return "video/mp2t" if synced else None
