"""Keys: read from files in two forms, found in DID documents, never quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.car.errors import KeyUnavailable
from pds.car.signing_keys import look_up_public_key, read_private_key
from repo.syntax import Did
from tests.pds.car.cars import KEY
from tests.pds.conftest import Account, Pds


@pytest.mark.parametrize(
    "content",
    [b"\x11" * 32, b"11" * 32, b"11" * 32 + b"\n", b"  " + b"11" * 32 + b"\r\n"],
    ids=["bytes", "hexadecimal", "a line", "white space"],
)
def test_a_key_is_32_bytes_or_their_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    assert read_private_key(path).export() == KEY.export()


def test_bytes_that_look_like_text_are_bytes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"0" * 31 + b"\n")
    assert read_private_key(path).export() == b"0" * 31 + b"\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x11" * 31, b"\x11" * 33, b"11" * 31, b"zz" * 32, b"\xff" * 32, bytes(32), b"secret"],
    ids=repr,
)
def test_anything_else_is_no_key_and_is_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(KeyUnavailable, match=f"{path} is no private key") as refused:
        read_private_key(path)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_key_is_looked_up_in_the_did_document(pds: Pds, alice: Account) -> None:
    plc_url = pds.ctx.settings.identity.plc_url
    key = await look_up_public_key(Did(alice.did), plc_url=plc_url)
    document = await pds.ctx.did_resolver.resolve(Did(alice.did))
    assert key.did_key == document.signing_key()


@pytest.mark.parametrize("did", ["did:plc:" + "a" * 24, "did:key:z6Mk", "did:web:localhost%3A1"])
async def test_a_did_without_a_document_is_told(pds: Pds, did: str) -> None:
    with pytest.raises(KeyUnavailable, match=f"{did} .* Check --plc"):
        await look_up_public_key(Did(did), plc_url=pds.ctx.settings.identity.plc_url)
