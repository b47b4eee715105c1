"""Keys of commits: the public key that must have signed, the private key that will sign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.car.errors import KeyUnavailable
from repo.keys import (
    PRIVATE_KEY_BYTES,
    K256PrivateKey,
    PrivateKey,
    PublicKey,
    parse_did_key,
)
from repo.syntax import Did

if TYPE_CHECKING:
    from repo.cid import Cid
    from repo.commit import Commit

_MAX_FILE_BYTES: Final = 1024
_LOOKUP_TIMEOUT_MS: Final = 10_000


async def look_up_public_key(root: Cid, commit: Commit, *, plc_url: str) -> PublicKey:
    """Return the account's key that signed `commit`, from its DID document or its PLC log.

    If none did, return the one in the DID document. Raises `KeyUnavailable`.
    """
    # Imported late: the network modules are slow to import, and most uses of a CAR need none.
    from identity.did_source import DidResolutionError, DidSource
    from identity.http import SafeHttp
    from identity.plc import PlcClient
    from identity.signers import NotSigned, find_signer

    did = Did(commit.did)
    hint = "Check --plc, or name the key with --key did:key:…"
    async with SafeHttp(timeout_ms=_LOOKUP_TIMEOUT_MS) as http:
        try:
            document = await DidSource(http, plc_url=plc_url).fetch(did)
        except DidResolutionError as exc:
            raise KeyUnavailable(f"{exc}. {hint}") from exc
        did_key = document.signing_key()
        if did_key is None:
            raise KeyUnavailable(f"The DID document of {did} names no signing key. {hint}")
        key = parse_did_key(did_key)
        try:
            return await find_signer(root, commit, [key], PlcClient(plc_url, http))
        except NotSigned as exc:
            if exc.is_certain:
                return key
            raise KeyUnavailable(f"{exc}. {hint}") from exc


def read_private_key(path: Path) -> PrivateKey:
    """Read a K-256 key from a file of 32 bytes, or of 64 hexadecimal digits.

    Raises `KeyUnavailable` and `OSError`.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES)
    try:
        if len(content) != PRIVATE_KEY_BYTES:
            content = bytes.fromhex(content.decode("ascii").strip())
        return K256PrivateKey.from_bytes(content)
    except ValueError:
        # Omit the cause, which may quote the file's contents.
        raise KeyUnavailable(
            f"{path} is no private key: it has to have 32 bytes, as the `key` file of an actor, "
            "or their 64 hexadecimal digits."
        ) from None
