"""A repository whose records try what text can do to a page that shows it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

from repo.cid import Cid
from tests.pds.car.cars import DID, POST, car_of

NOTE: Final = "com.example.note"
RAN: Final = "document.title='ran'"

SVG: Final = (
    f'<svg xmlns="http://www.w3.org/2000/svg" onload="{RAN}"><script>{RAN}</script>'
    '<circle r="9"/></svg>'
).encode()
HTML: Final = f"<!DOCTYPE html><title>page</title><script>{RAN}</script>".encode()
TEXTS: Final = {
    "script": f"<script>{RAN}</script>",
    "pre": f'</pre></p></li><img src=x onerror="{RAN}">',
    "attribute": f'"><svg onload={RAN}>',
    "style": "<style>body{display:none}</style>",
    "base": '<base href="https://evil.invalid/"><meta http-equiv="refresh" content="0;url=/x">',
    "template": "{{ 7 * 7 }}{% raw %}",
    "bidi": "photo\u202egpj.exe",
    "zero-width": "pay\u200bpal\ufeff",
    "long": "w" * 20_000,
}
"""By the record's key, the text that it has."""
KEYS: Final = ("~", "a:b", "a~b_c-d.e", "_", ":", "-", "k" * 512, "...")
"""Odd ones that the syntax allows."""


def png(width: int, height: int) -> bytes:
    """A black picture."""
    row = b"\0" + bytes(-(-width // 8))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * height)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def blob(data: bytes, mime_type: str) -> dict[str, Any]:
    """A reference to `data` as a record has it."""
    return {"$type": "blob", "ref": Cid.of_raw(data), "mimeType": mime_type, "size": len(data)}


BLOBS: Final = {
    "svg": (SVG, "image/svg+xml"),
    "html": (HTML, "text/html"),
    "html-as-picture": (HTML + b" ", "image/png"),
    "xml": (b'<?xml version="1.0"?>' + SVG, "application/xhtml+xml"),
    "line-break": (b"a line", "text/html\r\nX-Evil: 1"),
    "no-type": (b"no type", "\u2028"),
    "picture": (png(3000, 40), "image/png"),
}
"""By the record's key, a blob and the type that the record says it has."""
BIG: Final = "x<b>" * 240_000

RECORDS: Final[dict[str, Any]] = {
    "app.bsky.actor.profile/self": {"displayName": "\U0001f469\u200d\U0001f680.example.com"},
    **{f"{POST}/{key}": {"$type": POST, "text": text} for key, text in TEXTS.items()},
    **{f"{NOTE}/{key}": {"title": f"at {key}"[:100]} for key in KEYS},
    f"{NOTE}/names": {f"<script>{RAN}</script>": {"n" * 5_000: [1, b"\0", True, None]}},
    f"{NOTE}/dates": {"title": "dates", "createdAt": "<b>2024-02-30"},
    f"{NOTE}/big": {"title": "big", "body": BIG},
    **{
        f"com.example.file/{key}": {
            "title": f"of {key}",
            "file": {"alt": f'a "{key}" <b>', "image": blob(data, mime_type)},
        }
        for key, (data, mime_type) in BLOBS.items()
    },
    "com.example.file/many": {"files": [blob(bytes([n]), "image/png") for n in range(60)] * 2},
    "com.example.file/gone": {"file": blob(b"gone", "image/png")},
}


def write_hostile_archive(cars: Path, blobs: Path) -> None:
    """Write the repository into the directory `cars`, and its blobs into `blobs`."""
    cars.mkdir()
    (cars / "hostile.car").write_bytes(car_of(RECORDS))
    (blobs / DID).mkdir(parents=True)
    for data, _ in BLOBS.values():
        (blobs / DID / str(Cid.of_raw(data))).write_bytes(data)
