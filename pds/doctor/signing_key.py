"""Key files: whether each is a 32-byte private key that no other user can read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pds.disk.remedies import give_to_server, restore_key
from pds.doctor.finding import Finding
from pds.doctor.permissions import is_exposed
from repo.keys import PRIVATE_KEY_BYTES, InvalidKey, K256PrivateKey, PublicKey

CHECK: Final = "signing key"


@dataclass(slots=True, frozen=True)
class KeyFile:
    """The result of reading a key file: the public key, or the fault."""

    public: PublicKey | None
    findings: tuple[Finding, ...]
    is_exposed: bool = False
    """Whether other users of the machine can read it."""


def read_key_file(path: Path) -> KeyFile:
    """Read a key file."""
    try:
        # One byte more than a key, because a wrong file may have any size.
        with path.open("rb") as file:
            content = file.read(PRIVATE_KEY_BYTES + 1)
    except FileNotFoundError:
        return _unusable(path, "is missing: nothing can be signed")
    except PermissionError as exc:
        message = f"cannot be read: {exc.strerror}"
        return KeyFile(None, (Finding.error(CHECK, path, message, give_to_server(path)),))
    except OSError as exc:
        return _unusable(path, f"cannot be read: {exc.strerror}")
    if len(content) != PRIVATE_KEY_BYTES:
        size = path.stat().st_size
        return _unusable(path, f"has {size} bytes instead of {PRIVATE_KEY_BYTES}")
    try:
        public = K256PrivateKey.from_bytes(content).public
    except InvalidKey as exc:
        return _unusable(path, f"is no private key: {exc}")
    return KeyFile(public, (), is_exposed(path))


def _unusable(path: Path, message: str) -> KeyFile:
    return KeyFile(None, (Finding.error(CHECK, path, message, restore_key(path)),))
