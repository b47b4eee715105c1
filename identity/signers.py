"""Finding a commit's signer: the key that its DID names now, or one that it named earlier.

After a move, a repository stays signed with the old server's key until something is written to it,
and so does every backup. The log of a did:plc lists those earlier keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from identity.plc import PlcClient, PlcError
from identity.plc_log import PlcLogEntry, signing_keys
from repo.cid import Cid
from repo.commit import Commit
from repo.keys import InvalidKey, PublicKey, parse_did_key
from repo.syntax import Did
from repo.verify import InvalidRepo


class NotSigned(InvalidRepo):
    """No known key of the account has signed the commit `root`."""

    def __init__(self, root: Cid, commit: Commit, reason: str, *, is_certain: bool = True) -> None:
        """`is_certain` means that every key ever named by the DID was checked."""
        super().__init__(f"the commit {root} is not signed by a key of {commit.did}: {reason}")
        self.is_certain = is_certain


async def find_signer(
    root: Cid, commit: Commit, keys: Iterable[PublicKey], plc: PlcClient
) -> PublicKey:
    """Return the key that signed a commit: one of `keys`, or an earlier key of its DID.

    The directory is asked for earlier keys only if none of `keys` matches. Raises `NotSigned`.
    """
    signer = next((key for key in keys if commit.verify(key)), None)
    if signer is not None:
        return signer
    if not commit.did.startswith("did:plc:"):
        reason = (
            "not by that of its DID document, which has to name the key that signed, for only a "
            "did:plc has a log of earlier ones"
        )
        raise NotSigned(root, commit, reason)
    try:
        log = await plc.audit_log(Did(commit.did))
    except PlcError as exc:
        reason = f"not by that of its DID document, and earlier ones are not to be had ({exc})"
        raise NotSigned(root, commit, reason, is_certain=False) from exc
    signer = await asyncio.to_thread(_find_signer, commit, log)
    if signer is None:
        raise NotSigned(root, commit, "neither by that of its DID document nor by an earlier one")
    return signer


def _find_signer(commit: Commit, log: Iterable[PlcLogEntry]) -> PublicKey | None:
    for did_key in signing_keys(log):
        try:
            key = parse_did_key(did_key)
        except InvalidKey:
            continue
        if commit.verify(key):
            return key
    return None
