"""Looking up an account: its DID, its server, and the key that signs its repository."""

from __future__ import annotations

from dataclasses import dataclass

from identity.did_document import DidDocument
from identity.did_source import DidResolutionError, DidSource
from identity.handles import HandleResolver, HandleUnresolvable
from identity.http import SafeHttp
from identity.plc import PlcClient
from pds.car.errors import ExportFailed
from pds.car.remote import RemotePds
from repo.keys import PublicKey, parse_did_key
from repo.syntax import Did, InvalidSyntax, is_did, normalize_handle, parse_at_identifier, parse_did


@dataclass(slots=True, frozen=True)
class Account:
    """An account on its server."""

    did: Did
    pds: RemotePds
    plc: PlcClient
    """Provides the account's earlier keys."""
    key: PublicKey | None
    """None to skip the check of signatures."""


async def look_up_account(
    identifier: str, http: SafeHttp, *, plc_url: str, pds_url: str | None, with_key: bool
) -> Account:
    """Find the account of a DID or handle.

    With `pds_url`, that server is asked, whatever the DID document says; it also resolves a handle.
    Raises `ExportFailed` and `InvalidSyntax`.
    """
    given = None if pds_url is None else RemotePds(http, pds_url, trusted=True)
    did = await _find_did(identifier, http, given)
    plc = PlcClient(plc_url, http)
    if given is not None and not with_key:
        return Account(did, given, plc, None)
    try:
        document = await DidSource(http, plc_url=plc_url).fetch(did)
    except DidResolutionError as exc:
        raise ExportFailed(
            f"{exc}. Check --plc. With --pds URL --ignore-signature nobody needs to be asked."
        ) from exc
    key = _signing_key(document) if with_key else None
    if given is not None:
        return Account(did, given, plc, key)
    endpoint = document.pds_endpoint
    if endpoint is None:
        raise ExportFailed(f"The DID document of {did} names no server: name one with --pds URL.")
    return Account(did, RemotePds(http, endpoint, trusted=False), plc, key)


def _signing_key(document: DidDocument) -> PublicKey:
    did_key = document.signing_key()
    if did_key is None:
        raise ExportFailed(
            f"The DID document of {document.did} names no signing key. --ignore-signature takes "
            "the repository nevertheless."
        )
    return parse_did_key(did_key)


async def _find_did(identifier: str, http: SafeHttp, pds: RemotePds | None) -> Did:
    text = identifier.removeprefix("at://").removeprefix("@")
    parse_at_identifier(text)
    if is_did(text):
        return parse_did(text)
    handle = normalize_handle(text)
    if pds is not None:
        answer = await pds.query("com.atproto.identity.resolveHandle", handle=handle)
        try:
            return parse_did(answer["did"])
        except (InvalidSyntax, KeyError, TypeError) as exc:
            raise ExportFailed(f"{pds.url} answers {handle} with something that is no DID") from exc
    try:
        did = await HandleResolver(http).resolve(handle)
    except HandleUnresolvable as exc:
        raise ExportFailed(f"{exc}. Give the DID instead, or ask a server with --pds URL.") from exc
    if did is None:
        raise ExportFailed(
            f"Nobody has the handle {handle}. Give the DID instead, or ask a server with --pds URL."
        )
    return did
