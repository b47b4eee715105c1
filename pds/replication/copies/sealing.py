"""Sealing signing keys with age, so that whoever reads the replica cannot sign for its users.

Each key is encrypted to one recipient, which takes no time. With a passphrase, the recipient is
made once; its identity lies in the manifest, encrypted with the passphrase, which takes a moment
and is done once for each start. With a recipient of the operator, no identity is near the server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from pds.replication.copies.scrypt_file import seal_with_passphrase
from pds.replication.errors import DamagedReplicaFile, ReplicaRefused, WrongKeySecret
from pds.replication.replica.manifest import CLEAR, PASSPHRASE, RECIPIENT, Sealing
from pds.replication.replica.names import SEALED

try:
    import pyrage
except ImportError:  # The extra `replication` is not installed.
    pyrage = None

_WRONG: Final = ("No matching keys found", "Decryption failed", "Excessive work parameter")
"""What pyrage says of the wrong passphrase or identity; everything else is damage."""
_SETTINGS: Final = (
    "set PDS_REPLICATION_KEY_PASSPHRASE to a long passphrase that is kept elsewhere, or "
    "PDS_REPLICATION_KEY_RECIPIENT to the recipient that `age-keygen` prints, or "
    "PDS_REPLICATION_KEYS_IN_CLEAR=true where nobody else reads the replica"
)
_MIN_PASSPHRASE: Final = 12


@dataclass(slots=True, frozen=True)
class KeySecret:
    """What the operator has set for signing keys in a replica."""

    passphrase: str | None = field(default=None, repr=False)
    recipient: str | None = None
    in_clear: bool = False

    def check(self) -> None:
        """Raise `WrongKeySecret` unless exactly one way is set, and can be used."""
        ways = [self.passphrase is not None, self.recipient is not None, self.in_clear]
        if sum(ways) != 1:
            problem = "several ways are set" if any(ways) else "no way is set"
            raise WrongKeySecret(f"{problem} to seal the signing keys in a replica: {_SETTINGS}")
        if self.passphrase is not None and len(self.passphrase) < _MIN_PASSPHRASE:
            raise WrongKeySecret(
                f"PDS_REPLICATION_KEY_PASSPHRASE has less than {_MIN_PASSPHRASE} characters"
            )
        if self.recipient is not None:
            _parse_recipient(self.recipient)

    async def seal(self, before: Sealing | None) -> Sealing:
        """Return how keys are sealed in a replica that seals them like `before` (None: new).

        Raises `WrongKeySecret` if the passphrase is not that of the replica. A `manifest.Sealer`.
        """
        self.check()
        if self.in_clear:
            return Sealing(CLEAR)
        if self.recipient is not None:
            return Sealing(RECIPIENT, self.recipient)
        passphrase = self.passphrase or ""
        if before is not None and before.sealing == PASSPHRASE:
            await open_with_passphrase(before, passphrase)
            return before
        return await asyncio.to_thread(_make, passphrase)


class KeySealer:
    """Encrypts signing keys for a replica."""

    def __init__(self, sealing: Sealing) -> None:
        """Raises `WrongKeySecret` for a recipient that is none."""
        self._recipient = None
        self.suffix = ""
        """What the name of a sealed key ends with: `.age`, or nothing in the clear."""
        if sealing.sealing != CLEAR:
            self._recipient = _parse_recipient(sealing.recipient or "")
            self.suffix = SEALED

    def seal(self, data: bytes) -> bytes:
        """Return the bytes of a key as the replica holds them."""
        if self._recipient is None:
            return data
        return bytes(_age().encrypt(data, [self._recipient]))


class KeyOpener:
    """Decrypts signing keys of a replica."""

    def __init__(self, identities: list[Any]) -> None:
        """Take identities of pyrage; none for keys in the clear."""
        self._identities = identities

    def is_for(self, recipient: str) -> bool:
        """Whether it opens what is encrypted for a recipient, `age1…`."""
        return any(str(identity.to_public()) == recipient for identity in self._identities)

    def open(self, data: bytes) -> bytes:
        """Return the bytes of a key. Raises `WrongKeySecret` and `DamagedReplicaFile`."""
        if not self._identities:
            return data
        return _decrypted("a signing key of the replica", data, self._identities)


async def open_with_passphrase(sealing: Sealing, passphrase: str | None) -> KeyOpener:
    """Return what opens the keys of a replica that are sealed with a passphrase, or in the clear.

    Raises `WrongKeySecret` if another secret is needed, and `DamagedReplicaFile`.
    """
    if sealing.sealing == CLEAR:
        return KeyOpener([])
    if sealing.sealing == RECIPIENT:
        raise WrongKeySecret(
            f"the signing keys in the replica are encrypted for {sealing.recipient}: give the file "
            "that `age-keygen` made for it with --identity FILE"
        )
    if not passphrase:
        raise WrongKeySecret(
            "the signing keys in the replica are encrypted with a passphrase: "
            "set PDS_REPLICATION_KEY_PASSPHRASE"
        )
    return await asyncio.to_thread(_open, sealing, passphrase)


def open_with_identity(text: str) -> KeyOpener:
    """Return what opens keys with the identities in a file that `age-keygen` has made.

    Raises `WrongKeySecret` if it has none.
    """
    age = _age()
    lines = (line.strip() for line in text.splitlines())
    try:
        identities = [
            age.x25519.Identity.from_str(line) for line in lines if line and line[0] != "#"
        ]
    except age.IdentityError as exc:
        # Without the reason, which could quote a secret.
        raise WrongKeySecret("the identity file has a line that is no AGE-SECRET-KEY-1…") from exc
    if not identities:
        raise WrongKeySecret("the identity file has no AGE-SECRET-KEY-1…")
    return KeyOpener(identities)


def _make(passphrase: str) -> Sealing:
    identity = _age().x25519.Identity.generate()
    sealed = seal_with_passphrase(str(identity).encode(), passphrase)
    return Sealing(PASSPHRASE, str(identity.to_public()), sealed)


def _open(sealing: Sealing, passphrase: str) -> KeyOpener:
    age = _age()
    try:
        text = age.passphrase.decrypt((sealing.sealed_identity or "").encode(), passphrase)
        identity = age.x25519.Identity.from_str(text.decode())
    except age.DecryptError as exc:
        if str(exc) in _WRONG:
            raise WrongKeySecret(
                "PDS_REPLICATION_KEY_PASSPHRASE is not the passphrase of this replica"
            ) from exc
        raise DamagedReplicaFile(f"the sealed identity in the manifest is damaged: {exc}") from exc
    except (age.IdentityError, UnicodeDecodeError) as exc:
        raise DamagedReplicaFile("the sealed identity in the manifest is none") from exc
    if str(identity.to_public()) != sealing.recipient:
        # Somebody who writes to the replica would else have keys sealed for themselves.
        raise DamagedReplicaFile(
            "the recipient in the manifest is not that of its sealed identity: it was changed"
        )
    return KeyOpener([identity])


def _decrypted(what: str, data: bytes, identities: list[Any]) -> bytes:
    age = _age()
    try:
        return bytes(age.decrypt(data, identities))
    except age.DecryptError as exc:
        if str(exc) in _WRONG:
            raise WrongKeySecret(f"the identity does not open {what}") from exc
        raise DamagedReplicaFile(f"{what} is damaged: {exc}") from exc


def _parse_recipient(text: str) -> Any:
    age = _age()
    try:
        return age.x25519.Recipient.from_str(text)
    except age.RecipientError as exc:
        raise WrongKeySecret(
            f"{text!r} is no recipient of age: set PDS_REPLICATION_KEY_RECIPIENT to the age1… "
            "that `age-keygen` prints"
        ) from exc


def _age() -> Any:
    """Return pyrage. Raises `ReplicaRefused` where it is not installed."""
    if pyrage is None:
        raise ReplicaRefused(
            "pyrage is missing, which seals signing keys: pip install 'holdfast-pds[replication]'"
        )
    return pyrage
