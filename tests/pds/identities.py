"""DIDs that exist before they have an account here, with the keys that prove it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Self

import orjson

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey, PrivateKey
from repo.syntax import Did
from tests.identity.conftest import WebHost
from tests.pds.conftest import Pds


@dataclass(slots=True)
class Signer:
    """Who proves with a key to be a DID."""

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


@dataclass(slots=True)
class ForeignDid(Signer):
    """A did:plc of another server. One key is its rotation key and its signing key."""

    def update(self, pds: Pds, data: PlcData) -> None:
        """Give the DID another state, as its owner may at any time."""
        last = pds.plc.find_last(self.did)
        assert last is not None
        pds.plc.append(self.did, PlcOperation.sign(data, prev=last.cid, key=self.key))

    def name_key(self, pds: Pds, key: PrivateKey) -> Signer:
        """Let the DID name another signing key; return who signs with that."""
        last = pds.plc.find_last(self.did)
        assert last is not None
        assert last.data is not None
        self.update(pds, replace(last.data, verification_methods={"atproto": key.did_key}))
        return Signer(self.did, key)


@dataclass(slots=True)
class WebDid(Signer):
    """A did:web, whose document its owner serves on this machine."""

    host: WebHost

    @classmethod
    def on(cls, host: WebHost) -> Self:
        """The DID of a host. It has no document until `publish` is called."""
        return cls(Did(f"did:web:localhost%3A{host.port}"), K256PrivateKey.generate(), host)

    def publish(
        self, *, handle: str, key: str | None = None, endpoint: str = "https://old.example.com"
    ) -> None:
        """Serve a document with the signing key `key`, by default the owner's own."""
        document = {
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
            "id": self.did,
            "alsoKnownAs": [f"at://{handle}"],
            "verificationMethod": [
                {
                    "id": f"{self.did}#atproto",
                    "type": "Multikey",
                    "controller": self.did,
                    "publicKeyMultibase": (key or self.key.did_key).removeprefix("did:key:"),
                }
            ],
            "service": [
                {
                    "id": "#atproto_pds",
                    "type": "AtprotoPersonalDataServer",
                    "serviceEndpoint": endpoint,
                }
            ],
        }
        self.host.answer("/.well-known/did.json", orjson.dumps(document))

    def publish_for(self, pds: Pds, *, handle: str) -> None:
        """Serve the document that leads to the account on `pds`."""
        key = pds.ctx.actor_store.key(self.did).did_key
        self.publish(handle=handle, key=key, endpoint=pds.ctx.settings.public_url)


def register_foreign_did(pds: Pds, *, handle: str = "carol.example.com") -> ForeignDid:
    """Make a DID in the PLC directory that leads to another server."""
    key = K256PrivateKey.generate()
    operation = genesis_of_foreign_did(key, handle=handle)
    pds.plc.append(operation.did(), operation)
    return ForeignDid(operation.did(), key)


def genesis_of_foreign_did(key: PrivateKey, *, handle: str = "carol.example.com") -> PlcOperation:
    """The operation that makes a DID that leads to another server."""
    data = PlcData(
        rotation_keys=(key.did_key,),
        verification_methods={"atproto": key.did_key},
        also_known_as=(f"at://{handle}",),
        services={
            "atproto_pds": PlcService("AtprotoPersonalDataServer", "https://old.example.com")
        },
    )
    return PlcOperation.sign(data, prev=None, key=key)


def plc_data_for(pds: Pds, did: Did, *, handle: str, owner_key: PrivateKey) -> PlcData:
    """The state that makes a foreign DID lead to `pds`, its owner's key still the strongest."""
    ctx = pds.ctx
    return PlcData(
        rotation_keys=(owner_key.did_key, ctx.rotation_key.did_key),
        verification_methods={"atproto": ctx.actor_store.key(did).did_key},
        also_known_as=(f"at://{handle}",),
        services={"atproto_pds": PlcService("AtprotoPersonalDataServer", ctx.settings.public_url)},
    )
