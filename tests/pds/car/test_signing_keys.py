"""Keys: read from files in two forms, found in DID documents, never quoted."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from aiohttp import web

from pds.car.errors import KeyUnavailable
from pds.car.signing_keys import look_up_public_key, read_private_key
from repo.cid import Cid
from repo.commit import SignedCommit, sign_commit
from repo.keys import PrivateKey
from repo.syntax import Did
from tests.pds.car.cars import KEY, REV
from tests.pds.conftest import Account, Pds
from tests.pds.identities import register_foreign_did


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


def signed(did: str, key: PrivateKey) -> SignedCommit:
    return sign_commit(did, data=Cid.of_dag_cbor(b"tree"), rev=REV, key=key)


async def look_up(pds: Pds, signed: SignedCommit) -> str:
    plc_url = pds.ctx.settings.identity.plc_url
    return (await look_up_public_key(signed.cid, signed.commit, plc_url=plc_url)).did_key


async def test_a_key_is_looked_up_in_the_did_document(pds: Pds, alice: Account) -> None:
    document = await pds.ctx.did_resolver.resolve(Did(alice.did))
    for key in (pds.ctx.actor_store.key(Did(alice.did)), KEY):
        assert await look_up(pds, signed(alice.did, key)) == document.signing_key()


async def test_the_key_that_has_signed_may_be_an_earlier_one(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    owner.name_key(pds, KEY)
    assert await look_up(pds, signed(owner.did, owner.key)) == owner.key.did_key
    assert await look_up(pds, signed(owner.did, KEY)) == KEY.did_key


async def test_earlier_keys_that_cannot_be_looked_up_are_told_of(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Did) -> NoReturn:
        raise web.HTTPServiceUnavailable(text="the directory is being mended")

    owner = register_foreign_did(pds)
    owner.name_key(pds, KEY)
    monkeypatch.setattr(pds.plc, "log", fail)
    with pytest.raises(KeyUnavailable, match=r"is being mended\)\. Check --plc, or name the key"):
        await look_up(pds, signed(owner.did, owner.key))


@pytest.mark.parametrize("did", ["did:plc:" + "a" * 24, "did:key:z6Mk", "did:web:localhost%3A1"])
async def test_a_did_without_a_document_is_told(pds: Pds, did: str) -> None:
    with pytest.raises(KeyUnavailable, match=f"{did} .* Check --plc"):
        await look_up(pds, signed(did, KEY))
