"""DID documents of did:plc, in the form the reference PLC directory gives them.

Spec: https://web.plc.directory/spec/v0.1/did-plc (Presentation as DID Document)
"""

from __future__ import annotations

from typing import Any, Final

import libipld
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from identity.plc_data import PlcData
from repo.keys import InvalidKey, parse_did_key
from repo.syntax import Did

_DID_CONTEXT: Final = "https://www.w3.org/ns/did/v1"
_MULTIKEY_CONTEXT: Final = "https://w3id.org/security/multikey/v1"
_SUITES: Final = {
    "ES256K": (
        "https://w3id.org/security/suites/secp256k1-2019/v1",
        "EcdsaSecp256k1VerificationKey2019",
        ec.SECP256K1(),
    ),
    "ES256": (
        "https://w3id.org/security/suites/ecdsa-2019/v1",
        "EcdsaSecp256r1VerificationKey2019",
        ec.SECP256R1(),
    ),
}


def document_of(did: Did, data: PlcData) -> dict[str, Any]:
    """The DID document that shows `data`."""
    contexts = [_DID_CONTEXT]
    methods = []
    for name, key in data.verification_methods.items():
        context, kind, multibase = _suite(key)
        if context not in contexts:
            contexts.append(context)
        methods.append(
            {
                "id": f"#{name}",
                "type": kind,
                "controller": did,
                "publicKeyMultibase": multibase,
            }
        )
    return {
        "@context": contexts,
        "id": did,
        "alsoKnownAs": list(data.also_known_as),
        "verificationMethod": methods,
        "service": [
            {"id": f"#{name}", "type": service.type, "serviceEndpoint": service.endpoint}
            for name, service in data.services.items()
        ],
    }


def _suite(did_key: str) -> tuple[str, str, str]:
    """Context, type and `publicKeyMultibase` of a verification method."""
    try:
        public = parse_did_key(did_key)
    except InvalidKey:
        return _MULTIKEY_CONTEXT, "Multikey", did_key.removeprefix("did:key:")
    context, kind, curve = _SUITES[public.jwt_alg]
    # These suites write the uncompressed point, without a codec.
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, public.point)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return context, kind, libipld.encode_multibase("z", point)
