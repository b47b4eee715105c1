"""Who calls a hold in these tests: DIDs of other servers, in the embedded PLC directory."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any, Final

import orjson

from repo.keys import K256PrivateKey, P256PrivateKey, PrivateKey
from repo.syntax import Did
from tests.pds.conftest import Pds, Reply
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON
from tests.pds.identities import ForeignDid, genesis_of_foreign_did

GET_RECORD: Final = "com.atproto.repo.getRecord"
"""The method that AppViews get tokens for."""
_CAPTAIN_KEY: Final = K256PrivateKey.from_bytes(b"\x07" * 32)


@dataclass(slots=True)
class Caller(ForeignDid):
    """A DID that signs service tokens for the hold."""

    def sign(self, **changes: Any) -> str:
        """A token by hand: `header_` changes its header, `key_` its key; None leaves one out."""
        key: PrivateKey = changes.pop("key_", self.key)
        header = {"typ": "JWT", "alg": key.jwt_alg, **changes.pop("header_", {})}
        claims = {
            "iss": self.did,
            "aud": HOLD_DID,
            "exp": int(time.time()) + 60,
            "lxm": GET_RECORD,
            **changes,
        }
        parts = [
            {name: value for name, value in part.items() if value is not None}
            for part in (header, claims)
        ]
        signed = ".".join(map(encode, parts))
        return f"{signed}.{_base64(key.sign(signed.encode()))}"

    def bearer(self, **changes: Any) -> dict[str, str]:
        """The headers of a call with such a token."""
        return bearer(self.sign(**changes))

    async def call(self, pds: Pds, nsid: str, json: Any = None) -> Reply:
        """Call a procedure."""
        return await pds.post(nsid, json, self.bearer())


def bearer(token: str) -> dict[str, str]:
    """The headers of a call with a token."""
    return {"Authorization": f"Bearer {token}"}


def encode(part: Any) -> str:
    """A part of a token."""
    return _base64(orjson.dumps(part))


def enroll(pds: Pds, key: PrivateKey | None = None) -> Caller:
    """Make a DID with this key, by default a new one."""
    key = key or K256PrivateKey.generate()
    genesis = genesis_of_foreign_did(key)
    pds.plc.append(genesis.did(), genesis)
    return Caller(genesis.did(), key)


def enroll_captain(pds: Pds) -> Caller:
    """Make the DID that `CAPTAIN_ENVIRON` names."""
    return enroll(pds, _CAPTAIN_KEY)


def unknown() -> Caller:
    """A DID that the directory does not know."""
    key = P256PrivateKey.generate()
    return Caller(genesis_of_foreign_did(key).did(), key)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


CAPTAIN_DID: Final[Did] = genesis_of_foreign_did(_CAPTAIN_KEY).did()
CAPTAIN_ENVIRON: Final = {**HOLD_ENVIRON, "PDS_HOLD_OWNER": CAPTAIN_DID}
"""Of a hold whose captain can sign tokens."""
