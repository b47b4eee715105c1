"""DID documents of did:plc, in the form returned by the reference PLC directory.

Spec: https://web.plc.directory/spec/v0.1/did-plc (Presentation as DID Document)
"""

from __future__ import annotations

from typing import Any, Final

from identity.plc_data import PlcData
from repo.keys import InvalidKey, parse_did_key
from repo.syntax import Did

_CONTEXTS: Final = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1")
_SUITES: Final = {
    "ES256K": "https://w3id.org/security/suites/secp256k1-2019/v1",
    "ES256": "https://w3id.org/security/suites/ecdsa-2019/v1",
}
"""The JSON-LD context added for each curve."""


def document_of(did: Did, data: PlcData) -> dict[str, Any]:
    """Return the DID document for the state `data`."""
    keys = data.verification_methods
    # Deduplicated, in order of first occurrence.
    contexts = dict.fromkeys((*_CONTEXTS, *filter(None, map(_suite, keys.values()))))
    return {
        "@context": list(contexts),
        "id": did,
        "alsoKnownAs": list(data.also_known_as),
        "verificationMethod": [
            {
                "id": f"{did}#{name}",
                "type": "Multikey",
                "controller": did,
                "publicKeyMultibase": key.removeprefix("did:key:"),
            }
            for name, key in keys.items()
        ],
        # The directory omits the DID from these ids.
        "service": [
            {"id": f"#{name}", "type": service.type, "serviceEndpoint": service.endpoint}
            for name, service in data.services.items()
        ],
    }


def _suite(did_key: str) -> str | None:
    """Return the context of a key; None for a curve that atproto does not use."""
    try:
        return _SUITES[parse_did_key(did_key).jwt_alg]
    except InvalidKey:
        return None
