from __future__ import annotations

from dataclasses import replace

import pytest

from identity.plc_data import InvalidPlcOperation, PlcData, PlcService
from identity.plc_limits import check_limits
from identity.plc_operation import PlcOperation
from repo.cid import Cid
from repo.keys import K256PrivateKey
from tests.identity.plc_samples import SERVER_KEY, SIGNING_KEY, plc_data

_KEYS = tuple(K256PrivateKey.from_bytes(bytes([n]) * 32).did_key for n in range(10, 16))
_SERVICE = PlcService("T", "https://example.com")
_DATA = plc_data()


def _check(data: PlcData) -> None:
    check_limits(PlcOperation.sign(data, prev=None, key=SERVER_KEY))


@pytest.mark.parametrize(
    "data",
    [
        _DATA,
        replace(_DATA, rotation_keys=_KEYS[:5]),
        replace(_DATA, also_known_as=(), services={}, verification_methods={}),
        replace(_DATA, also_known_as=tuple(f"at://a{n}.test" for n in range(10))),
        replace(
            _DATA,
            verification_methods={
                "other": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
            },
        ),
    ],
)
def test_reasonable_operations_are_accepted(data: PlcData) -> None:
    _check(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (replace(_DATA, rotation_keys=()), "at least one rotation key"),
        (replace(_DATA, rotation_keys=_KEYS), "too many rotation keys"),
        (replace(_DATA, rotation_keys=(_KEYS[0], _KEYS[0])), "duplicate rotation key"),
        (replace(_DATA, rotation_keys=("did:web:example.com",)), "Invalid rotationKey"),
        (
            replace(
                _DATA,
                rotation_keys=("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",),
            ),
            "Invalid rotationKey",
        ),
        (replace(_DATA, also_known_as=tuple(f"at://{n}" for n in range(11))), "Too many"),
        (replace(_DATA, also_known_as=("at://a.test", "at://a.test")), "duplicate"),
        (replace(_DATA, also_known_as=("at://" + "a" * 254,)), "too long"),
        (replace(_DATA, services={f"s{n}": _SERVICE for n in range(11)}), "Too many"),
        (replace(_DATA, services={"s" * 33: _SERVICE}), "too long"),
        (replace(_DATA, services={"s": PlcService("t" * 257, "https://a")}), "too long"),
        (replace(_DATA, services={"s": PlcService("T", "https://" + "a" * 505)}), "too long"),
        (
            replace(_DATA, verification_methods={f"k{n}": SIGNING_KEY.did_key for n in range(11)}),
            "Too many",
        ),
        (replace(_DATA, verification_methods={"k" * 33: SIGNING_KEY.did_key}), "too long"),
        (replace(_DATA, verification_methods={"k": "zQ3s"}), "Invalid verificationMethod"),
        (replace(_DATA, verification_methods={"k": "did:key:z0OIl"}), "Invalid verification"),
        (
            replace(
                _DATA,
                services={f"s{n}": PlcService("T", "https://" + "a" * 480) for n in range(9)},
            ),
            "too large",
        ),
    ],
)
def test_excess_is_refused(data: PlcData, reason: str) -> None:
    with pytest.raises(InvalidPlcOperation, match=reason):
        _check(data)


def test_tombstones_have_nothing_to_bound() -> None:
    check_limits(PlcOperation.sign_tombstone(prev=Cid.of_dag_cbor(b""), key=SERVER_KEY))
