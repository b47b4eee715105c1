"""DIDs that exist before they have an account here, with the keys that prove it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.accounts.service_jwt import create_service_jwt
from repo.keys import K256PrivateKey, PrivateKey
from repo.syntax import Did
from tests.pds.conftest import Pds


@dataclass(slots=True)
class ForeignDid:
    """A did:plc of another server. One key is its rotation key and its signing key."""

    did: Did
    key: PrivateKey

    def token(
        self, pds: Pds, lxm: str | None, *, aud: str | None = None, expires_in_s: int = 60
    ) -> str:
        """A service token that the DID signs, by default for `pds`."""
        now_s = int(time.time())
        return create_service_jwt(
            self.key,
            iss=self.did,
            aud=aud or pds.ctx.settings.service_did,
            now_s=now_s,
            lxm=lxm,
            expires_at=now_s + expires_in_s,
        )

    def auth(self, pds: Pds, lxm: str) -> dict[str, str]:
        """The headers of a call of `lxm` by the DID."""
        return {"Authorization": f"Bearer {self.token(pds, lxm)}"}

    def update(self, pds: Pds, data: PlcData) -> None:
        """Give the DID another state, as its owner may at any time."""
        last = pds.plc.find_last(self.did)
        assert last is not None
        pds.plc.append(self.did, PlcOperation.sign(data, prev=last.cid, key=self.key))


def register_foreign_did(pds: Pds, *, handle: str = "carol.example.com") -> ForeignDid:
    """Make a DID in the PLC directory that leads to another server."""
    key = K256PrivateKey.generate()
    data = PlcData(
        rotation_keys=(key.did_key,),
        verification_methods={"atproto": key.did_key},
        also_known_as=(f"at://{handle}",),
        services={
            "atproto_pds": PlcService("AtprotoPersonalDataServer", "https://old.example.com")
        },
    )
    operation = PlcOperation.sign(data, prev=None, key=key)
    did = operation.did()
    pds.plc.append(did, operation)
    return ForeignDid(did, key)


def plc_data_for(pds: Pds, did: Did, *, handle: str, owner_key: PrivateKey) -> PlcData:
    """The state that makes a foreign DID lead to `pds`, its owner's key still the strongest."""
    ctx = pds.ctx
    return PlcData(
        rotation_keys=(owner_key.did_key, ctx.rotation_key.did_key),
        verification_methods={"atproto": ctx.actor_store.key(did).did_key},
        also_known_as=(f"at://{handle}",),
        services={"atproto_pds": PlcService("AtprotoPersonalDataServer", ctx.settings.public_url)},
    )
