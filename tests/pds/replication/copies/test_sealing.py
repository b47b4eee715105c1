"""Signing keys in a replica: sealed with age, opened with the right secret only."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pyrage
import pytest

from pds.replication.copies import sealing as sealing_module
from pds.replication.copies.scrypt_file import seal_with_passphrase
from pds.replication.copies.sealing import (
    KeyOpener,
    KeySealer,
    KeySecret,
    open_with_identity,
    open_with_passphrase,
)
from pds.replication.errors import DamagedReplicaFile, ReplicaRefused, WrongKeySecret
from pds.replication.replica.manifest import CLEAR, PASSPHRASE, RECIPIENT, Sealing

KEY = bytes(range(32))
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def by_passphrase() -> Sealing:
    """Made once, because it takes a moment."""
    return asyncio.run(KeySecret(passphrase=PASSWORD).seal(None))


async def test_a_passphrase_opens_what_was_sealed_without_it(by_passphrase: Sealing) -> None:
    sealer = KeySealer(by_passphrase)
    sealed = sealer.seal(KEY)
    assert sealer.suffix == ".age"
    assert KEY not in sealed
    assert by_passphrase.sealing == PASSPHRASE
    opener = await open_with_passphrase(by_passphrase, PASSWORD)
    assert opener.open(sealed) == KEY


async def test_any_age_program_opens_it_by_hand(by_passphrase: Sealing) -> None:
    armoured = (by_passphrase.sealed_identity or "").encode()
    assert armoured.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    identity = pyrage.x25519.Identity.from_str(
        pyrage.passphrase.decrypt(armoured, PASSWORD).decode()
    )
    assert str(identity.to_public()) == by_passphrase.recipient
    assert pyrage.decrypt(KeySealer(by_passphrase).seal(KEY), [identity]) == KEY


async def test_the_same_passphrase_joins_a_replica_again(by_passphrase: Sealing) -> None:
    assert await KeySecret(passphrase=PASSWORD).seal(by_passphrase) == by_passphrase


@pytest.mark.parametrize("passphrase", ["correct horse battery", PASSWORD + " "])
async def test_a_wrong_passphrase_is_called_wrong(by_passphrase: Sealing, passphrase: str) -> None:
    with pytest.raises(WrongKeySecret, match="is not the passphrase of this replica"):
        await open_with_passphrase(by_passphrase, passphrase)
    with pytest.raises(WrongKeySecret, match="is not the passphrase of this replica"):
        await KeySecret(passphrase=passphrase).seal(by_passphrase)


async def test_a_missing_passphrase_is_asked_for(by_passphrase: Sealing) -> None:
    for missing in (None, ""):
        with pytest.raises(WrongKeySecret, match="set PDS_REPLICATION_KEY_PASSPHRASE"):
            await open_with_passphrase(by_passphrase, missing)


async def test_a_damaged_identity_is_called_damaged(by_passphrase: Sealing) -> None:
    whole = by_passphrase.sealed_identity or ""
    others = str(pyrage.x25519.Identity.generate().to_public())
    for damaged in (
        replace(by_passphrase, sealed_identity=whole[: len(whole) // 2]),
        replace(by_passphrase, sealed_identity="nothing"),
        replace(by_passphrase, sealed_identity=seal_with_passphrase(b"no identity", PASSWORD)),
        replace(by_passphrase, recipient=others),
    ):
        with pytest.raises(DamagedReplicaFile, match="manifest"):
            await open_with_passphrase(damaged, PASSWORD)


async def test_the_operators_identity_opens_what_is_sealed_for_it() -> None:
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    sealing = await KeySecret(recipient=recipient).seal(None)
    assert sealing == Sealing(RECIPIENT, recipient)
    sealed = KeySealer(sealing).seal(KEY)
    file = f"# created: 2026-01-01\n# public key: {recipient}\n{identity}\n"
    assert open_with_identity(file).open(sealed) == KEY
    other = open_with_identity(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(WrongKeySecret, match="does not open a signing key"):
        other.open(sealed)
    with pytest.raises(WrongKeySecret, match="--identity FILE"):
        await open_with_passphrase(sealing, PASSWORD)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "noise"])
def test_a_damaged_key_is_called_damaged(damage: str) -> None:
    identity = pyrage.x25519.Identity.generate()
    sealed = bytearray(pyrage.encrypt(KEY, [identity.to_public()]))
    if damage == "flipped":
        sealed[-20] ^= 1
    damaged = {"cut": sealed[:-1], "flipped": sealed, "empty": b"", "noise": b"noise" * 50}[damage]
    with pytest.raises(DamagedReplicaFile, match="a signing key of the replica is damaged"):
        KeyOpener([identity]).open(bytes(damaged))


async def test_keys_stay_in_the_clear_only_if_the_operator_insists() -> None:
    sealing = await KeySecret(in_clear=True).seal(None)
    sealer = KeySealer(sealing)
    assert (sealing, sealer.suffix, sealer.seal(KEY)) == (Sealing(CLEAR), "", KEY)
    assert (await open_with_passphrase(sealing, None)).open(KEY) == KEY
    with pytest.raises(WrongKeySecret, match="no way is set"):
        await KeySecret().seal(None)
    with pytest.raises(WrongKeySecret, match="several ways"):
        await KeySecret(passphrase=PASSWORD, in_clear=True).seal(None)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (KeySecret(passphrase=""), "less than 12 characters"),
        (KeySecret(passphrase="short"), "less than 12 characters"),
        (KeySecret(recipient="age1nonsense"), "is no recipient of age"),
        (KeySecret(recipient=""), "is no recipient of age"),
    ],
)
async def test_a_secret_that_seals_nothing_is_refused(secret: KeySecret, reason: str) -> None:
    with pytest.raises(WrongKeySecret, match=reason):
        await secret.seal(None)


@pytest.mark.parametrize("text", ["", "# a comment\n", "AGE-SECRET-KEY-1NONSENSE", "age1xyz"])
def test_a_file_without_an_identity_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(WrongKeySecret) as raised:
        open_with_identity(text)
    assert "NONSENSE" not in str(raised.value)


def test_no_text_of_a_secret_shows_it() -> None:
    assert PASSWORD not in repr(KeySecret(passphrase=PASSWORD))


async def test_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_module, "pyrage", None)
    with pytest.raises(ReplicaRefused, match=r"pip install 'holdfast-pds\[replication\]'"):
        await KeySecret(passphrase=PASSWORD).seal(None)
    assert await KeySecret(in_clear=True).seal(None) == Sealing(CLEAR)


@pytest.mark.parametrize("data", [b"", bytes(64 * 1024 + 1)])
def test_a_passphrase_seals_only_what_fits_into_one_chunk(data: bytes) -> None:
    with pytest.raises(ValueError, match="none or too many"):
        seal_with_passphrase(data, PASSWORD)
