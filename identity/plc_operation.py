"""did:plc operations: their contents, their signatures, and the DID created by a first one.

Nothing here depends on earlier operations; `identity.plc_log` does.

Spec: https://web.plc.directory/spec/v0.1/did-plc
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

from identity.plc_data import (
    InvalidPlcOperation,
    PlcData,
    PlcService,
    read_object,
    read_text,
)
from repo import dagcbor
from repo.cid import Cid, InvalidCid
from repo.keys import InvalidKey, parse_did_key
from repo.syntax import Did

MAX_OPERATION_BYTES: Final = 7_500
"""Longest operation the specification allows, in DAG-CBOR with its signature."""

OperationType: TypeAlias = Literal["plc_operation", "plc_tombstone", "create"]

_IDENTIFIER_LENGTH: Final = 24
_SIGNATURE_BYTES: Final = 64
_SIGNATURE_LENGTH: Final = 86
"""64 bytes in base64url without padding."""


class Signer(Protocol):
    """Anything that signs an operation: a `PrivateKey`, or a key held elsewhere."""

    @property
    def did_key(self) -> str:
        """The public key, as listed by a DID."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return a compact 64-byte low-S signature over the SHA-256 of `message`."""
        ...


@dataclass(slots=True, frozen=True, eq=False)
class PlcOperation:
    """A signed operation. Two are equal if they have the same `cid`."""

    type: OperationType
    prev: Cid | None
    """The operation this one follows; None for the first."""
    sig: str
    data: PlcData | None
    """The state it sets; None for a tombstone. A legacy `create` gives its modern equivalent."""
    cid: Cid
    encoded_bytes: int
    """Size in DAG-CBOR, with the signature."""
    unsigned: Mapping[str, Any]
    """The signed JSON fields: all except `sig`."""

    @classmethod
    def parse(cls, value: object) -> PlcOperation:
        """Read the JSON of a signed operation, dropping unknown fields.

        Checks the size and shape but not the signature. Raises `InvalidPlcOperation`.
        """
        fields = read_object(value, "operation")
        sig = read_text(fields.get("sig"), "sig")
        match fields.get("type"):
            case "plc_operation":
                return _signed(_regular(PlcData.from_json(fields), _prev(fields)), sig)
            case "plc_tombstone":
                return _signed({"type": "plc_tombstone", "prev": _prev_text(fields)}, sig)
            case "create":
                return _signed(_legacy(fields), sig)
            case _:
                raise InvalidPlcOperation("Not a valid operation: unknown type")

    @classmethod
    def sign(cls, data: PlcData, *, prev: Cid | None, key: Signer) -> PlcOperation:
        """Sign the operation that sets `data`; without `prev`, it creates a new DID."""
        return _sign(_regular(data, prev), key)

    @classmethod
    def sign_tombstone(cls, *, prev: Cid, key: Signer) -> PlcOperation:
        """Sign the operation that tombstones a DID."""
        return _sign({"type": "plc_tombstone", "prev": str(prev)}, key)

    def did(self) -> Did:
        """The DID created by this, if it is a first operation."""
        digest = self.cid.raw[-hashlib.sha256().digest_size :]
        name = base64.b32encode(digest).decode().lower()[:_IDENTIFIER_LENGTH]
        return Did(f"did:plc:{name}")

    def find_signer(self, rotation_keys: Iterable[str], *, lenient: bool = False) -> str | None:
        """Return the first of `rotation_keys` (did:keys) that signed this, or None.

        A signature has one valid encoding, because a second would give the operation a second CID.
        The public directory once accepted others, padded or P-256 with a high S, and its logs hold
        thousands of them; only `lenient` accepts these.
        """
        signature = _decode_signature(self.sig.rstrip("=") if lenient else self.sig)
        if signature is None:
            return None
        message = dagcbor.encode(dict(self.unsigned))
        return next(
            (key for key in rotation_keys if _verifies(key, message, signature, lenient=lenient)),
            None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, as sent to a directory."""
        return {**self.unsigned, "sig": self.sig}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlcOperation) and self.cid == other.cid

    def __hash__(self) -> int:
        return hash(self.cid)


def _sign(unsigned: dict[str, Any], key: Signer) -> PlcOperation:
    signature = key.sign(dagcbor.encode(unsigned))
    return _signed(unsigned, _encode_signature(signature))


def _signed(unsigned: dict[str, Any], sig: str) -> PlcOperation:
    try:
        block = dagcbor.encode({**unsigned, "sig": sig})
    except ValueError as exc:  # including text that is not Unicode
        raise InvalidPlcOperation(f"Not a valid operation: {exc}") from exc
    if len(block) > MAX_OPERATION_BYTES:
        raise InvalidPlcOperation(
            f"Operation too large ({MAX_OPERATION_BYTES} bytes maximum in cbor encoding)"
        )
    prev = unsigned["prev"]
    return PlcOperation(
        type=unsigned["type"],
        prev=None if prev is None else Cid.parse(prev),
        sig=sig,
        data=_data_of(unsigned),
        cid=Cid.of_dag_cbor(block),
        encoded_bytes=len(block),
        unsigned=unsigned,
    )


def _regular(data: PlcData, prev: Cid | None) -> dict[str, Any]:
    return {
        "type": "plc_operation",
        **data.to_json(),
        "prev": None if prev is None else str(prev),
    }


def _legacy(fields: Mapping[str, Any]) -> dict[str, Any]:
    if fields.get("prev", "") is not None:
        raise InvalidPlcOperation("Not a valid operation: a create has the prev null")
    names = ("signingKey", "recoveryKey", "handle", "service")
    texts = {name: read_text(fields.get(name), name) for name in names}
    return {"type": "create", **texts, "prev": None}


def _data_of(unsigned: Mapping[str, Any]) -> PlcData | None:
    if unsigned["type"] == "plc_tombstone":
        return None
    if unsigned["type"] == "plc_operation":
        return PlcData.from_json(unsigned)
    handle, service = unsigned["handle"], unsigned["service"]
    endpoint = service if service.startswith(("http://", "https://")) else f"https://{service}"
    name = handle.removeprefix("at://").removeprefix("http://").removeprefix("https://")
    return PlcData(
        rotation_keys=(unsigned["recoveryKey"], unsigned["signingKey"]),
        verification_methods={"atproto": unsigned["signingKey"]},
        also_known_as=(f"at://{name}",),
        services={"atproto_pds": PlcService("AtprotoPersonalDataServer", endpoint)},
    )


def _encode_signature(signature: bytes) -> str:
    return base64.urlsafe_b64encode(signature).decode().rstrip("=")


def _decode_signature(sig: str) -> bytes | None:
    if len(sig) != _SIGNATURE_LENGTH:
        return None
    try:
        signature = base64.b64decode(sig + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # They differ if unused bits of the last character are not zero.
    if _encode_signature(signature) != sig:
        return None
    return signature if len(signature) == _SIGNATURE_BYTES else None


def _verifies(did_key: str, message: bytes, signature: bytes, *, lenient: bool) -> bool:
    try:
        return parse_did_key(did_key).verify(message, signature, allow_high_s=lenient)
    except InvalidKey:
        # Old operations list kinds of keys that cannot sign here.
        return False


def _prev(fields: Mapping[str, Any]) -> Cid | None:
    if "prev" in fields and fields["prev"] is None:
        return None
    return Cid.parse(_prev_text(fields))


def _prev_text(fields: Mapping[str, Any]) -> str:
    text = read_text(fields.get("prev"), "prev")
    try:
        Cid.parse(text)
    except InvalidCid as exc:
        raise InvalidPlcOperation("Not a valid operation: prev is not a CID") from exc
    return text
