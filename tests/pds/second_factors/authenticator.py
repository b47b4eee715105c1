"""A passkey made of software, and a browser that answers with it, truly or not."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

_PRESENT, _VERIFIED, _HAS_KEY = 0x01, 0x04, 0x40


@dataclass(slots=True)
class Authenticator:
    """One passkey for one host, which counts its uses."""

    host: str = "pds.example.com"
    origin: str = "https://pds.example.com"
    uses: int = 0
    verifies: bool = True
    """Whether it asks for a PIN or a finger."""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: str) -> str:
        """Answer options to set up a passkey."""
        challenge = json.loads(options)["challenge"]
        client_data = self._client_data("webauthn.create", challenge)
        key = self._cose_key()
        data = self._data(_HAS_KEY) + bytes(16) + len(self.id).to_bytes(2, "big") + self.id + key
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": _b64(client_data),
            "attestationObject": _b64(attestation),
            "transports": ["internal"],
        }
        return self._answer(response)

    def get(self, options: str, **changes: Any) -> str:
        """Answer options to sign in, with `changes` of the client's data."""
        self.uses += 1
        challenge = json.loads(options)["challenge"]
        client_data = self._client_data("webauthn.get", challenge, **changes)
        data = self._data()
        signed = data + hashlib.sha256(client_data).digest()
        response = {
            "clientDataJSON": _b64(client_data),
            "authenticatorData": _b64(data),
            "signature": _b64(self.key.sign(signed, ec.ECDSA(SHA256()))),
        }
        return self._answer(response)

    def _answer(self, response: dict[str, Any]) -> str:
        return json.dumps(
            {
                "id": _b64(self.id),
                "rawId": _b64(self.id),
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
            }
        )

    def _client_data(self, kind: str, answered: str, **changes: Any) -> bytes:
        data = {"type": kind, "challenge": answered, "origin": self.origin, "crossOrigin": False}
        return json.dumps({**data, **changes}).encode()

    def _data(self, flags: int = 0) -> bytes:
        flags |= _PRESENT | (_VERIFIED if self.verifies else 0)
        return (
            hashlib.sha256(self.host.encode()).digest()
            + bytes([flags])
            + self.uses.to_bytes(4, "big")
        )

    def _cose_key(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        x, y = (each.to_bytes(32, "big") for each in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
