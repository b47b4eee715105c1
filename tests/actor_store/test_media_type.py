"""Media types: the answers of the reference PDS, so that records fit both servers."""

from __future__ import annotations

import pytest

from actor_store.media_type import media_type_of, sniff


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an ISO media file."""
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def ftyp(brand: bytes) -> bytes:
    return box(b"ftyp", brand + bytes(4) + b"isommp42") + box(b"mdat", bytes(64))


def ebml(doc_type: bytes) -> bytes:
    inner = bytes.fromhex("4286810142f7810142f2810442f38108")
    inner += b"\x42\x82" + bytes((0x80 | len(doc_type),)) + doc_type
    return b"\x1a\x45\xdf\xa3" + bytes((0x80 | len(inner),)) + inner + bytes(64)


IHDR = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (IHDR + b"\0\0\0\x0aIDAT" + bytes(14), "image/png"),
        (IHDR + b"\0\0\0\x08acTL" + bytes(12) + b"\0\0\0\x0aIDAT", "image/apng"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(40), "image/jpeg"),
        (b"\xff\xd8\xff\xe1\0\x10Exif\0\0" + bytes(40), "image/jpeg"),
        (b"GIF87a\x01\0\x01\0", "image/gif"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(24), "image/webp"),
        (b"RIFF\x24\0\0\0WEBPVP8X" + bytes(24), "image/webp"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(24), "audio/wav"),
        (b"RIFF\x24\0\0\0AVI LIST" + bytes(24), "video/vnd.avi"),
        (b"\xff\x0a" + bytes(40), "image/jxl"),
        (b"II*\0\x08\0\0\0" + bytes(40), "image/tiff"),
        (ftyp(b"isom"), "video/mp4"),
        (ftyp(b"mp42"), "video/mp4"),
        (ftyp(b"iso5"), "video/mp4"),
        (ftyp(b"zzzz"), "video/mp4"),
        (ftyp(b"qt  "), "video/quicktime"),
        (ftyp(b"M4V "), "video/x-m4v"),
        (ftyp(b"M4A "), "audio/x-m4a"),
        (ftyp(b"M4B "), "audio/mp4"),
        (ftyp(b"3gp4"), "video/3gpp"),
        (ftyp(b"3g2a"), "video/3gpp2"),
        (ftyp(b"avif"), "image/avif"),
        (ftyp(b"heic"), "image/heic"),
        (ftyp(b"hevc"), "image/heic-sequence"),
        (ftyp(b"mif1"), "image/heif"),
        (ftyp(b"msf1"), "image/heif-sequence"),
        (box(b"moov", bytes(64)), "video/quicktime"),
        (ebml(b"webm"), "video/webm"),
        (ebml(b"matroska"), "video/matroska"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        (b"PK\x03\x04\x14\0" + bytes(30), "application/zip"),
        (b"\x1f\x8b\x08\0" + bytes(20), "application/gzip"),
        (b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + b"\xff\xfb\x90\x44" + bytes(60), "audio/mpeg"),
        (b"OggS\0\2" + bytes(20) + b"\1\x1e\x01vorbis" + bytes(20), "audio/ogg"),
        (b"OggS\0\2" + bytes(20) + b"\1\x13OpusHead" + bytes(20), "audio/ogg; codecs=opus"),
        (b"OggS\0\2" + bytes(20) + b"\1\x2a\x80theora" + bytes(20), "video/ogg"),
        (b"fLaC\0\0\0\x22" + bytes(40), "audio/flac"),
        (b"wOFF\0\1\0\0" + bytes(40), "font/woff"),
        (b"\0asm\1\0\0\0", "application/wasm"),
        ((b"\x47" + bytes(187)) * 3, "video/mp2t"),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n", "text/vtt"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "application/xml"),
    ],
)
def test_bytes_that_show_their_type_win_over_the_header(head: bytes, expected: str) -> None:
    assert media_type_of(head, "application/octet-stream") == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"a",
        b"plain text\n",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>',
        b"<!DOCTYPE html><html><body>hi</body></html>",
        b'{"a": 1, "b": [1, 2, 3]}',
        b"function a() { return 1 }\n",
        b"a,b,c\n1,2,3\n",
        b"#!/bin/sh\necho hi\n",
        b"\xef\xbb\xbftext with a byte order mark",
        bytes(100),
    ],
)
def test_text_and_unknown_bytes_keep_the_type_they_were_sent_as(head: bytes) -> None:
    assert sniff(head) is None
    assert media_type_of(head, "text/example; charset=utf-8") == "text/example"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/plain", "text/plain"),
        ("text/plain;charset=utf-8", "text/plain"),
        ("Text/Plain ; charset=utf-8", "Text/Plain"),
        ("*/*", "*/*"),
    ],
)
def test_parameters_of_the_header_are_dropped(content_type: str, expected: str) -> None:
    assert media_type_of(b"words", content_type) == expected
