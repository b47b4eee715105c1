"""docs/entryway.md has the methods of the code, with what becomes of each."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pds.api import METHODS
from pds.entryway.methods import WAYS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "entryway.md"


def test_the_document_has_every_method_and_what_becomes_of_it() -> None:
    ways: dict[str, list[str]] = defaultdict(list)
    for nsid, way in WAYS.items():
        ways[way.words].append(nsid)
    rows = re.findall(r"^\| ([^|]+) \| ((?:`com\.[^|]+)) \|$", DOCUMENT.read_text(), re.MULTILINE)
    documented = {words: re.findall(r"`([^`]+)`", methods) for words, methods in rows}
    assert documented == {words: sorted(nsids) for words, nsids in ways.items()}


def test_every_method_of_the_table_is_served() -> None:
    assert {method.nsid for methods in METHODS for method in methods} >= WAYS.keys()


def test_the_command_gives_the_digits_of_a_public_key(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "entryway.pem").write_bytes(pem)
    (command,) = re.findall(r"^openssl .+$", DOCUMENT.read_text(), re.MULTILINE)
    typed = subprocess.run(  # noqa: S602 (a command of ours)
        command, shell=True, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert typed.stdout == key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint).hex()
