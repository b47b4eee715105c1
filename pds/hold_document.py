"""The DID document of a hold that this server is, which is made anew whenever it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actor_store.errors import ActorStoreError
from identity.did_document import ATPROTO_KEY, ATPROTO_PDS, PDS_TYPE, DidDocument
from identity.plc_data import PlcData, PlcService
from identity.plc_document import document_of
from repo.syntax import Did

if TYPE_CHECKING:
    from actor_store.store import ActorStore
    from pds.accounts.register import AccountRegister
    from pds.config import Settings

HOLD_SERVICE: Final = "atcr_hold"
"""The id of the second service in the document."""


def find_hold_document(
    settings: Settings, accounts: AccountRegister, actor_store: ActorStore
) -> DidDocument | None:
    """Make the DID document of the hold; None if its actor does not exist or has no key."""
    did = Did(settings.hold_did)
    account = accounts.find_account(did, include_inactive=True)
    try:
        key = actor_store.key(did)
    except ActorStoreError:
        return None
    url, handle = settings.hold_url, None if account is None else account.handle
    data = PlcData(
        rotation_keys=(),
        verification_methods={ATPROTO_KEY: key.did_key},
        also_known_as=() if handle is None else (f"at://{handle}",),
        services={
            ATPROTO_PDS: PlcService(PDS_TYPE, url),
            HOLD_SERVICE: PlcService("AtcrHoldService", url),
        },
    )
    return DidDocument(document_of(did, data))
