"""The PLC directory that the accounts of the reference's data live in."""

from __future__ import annotations

import json
from dataclasses import replace

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.dev.plc_store import PlcStore
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.reference import data


def import_logs(store: PlcStore) -> None:
    """Enter every PLC operation of the accounts, as it was signed."""
    for did, account in json.loads(data.PLC_FILE.read_text()).items():
        for operation in account["log"]:
            store.append(Did(did), PlcOperation.parse(operation))


def move(store: PlcStore, did: str, endpoint: str) -> None:
    """Let a DID say that its server is at `endpoint`, by an operation of the server's own key."""
    secret = data.manifest()["secrets"]["plcRotationKeyK256PrivateKeyHex"]
    last = store.find_last(Did(did))
    assert last is not None
    assert isinstance(last.data, PlcData)
    service = PlcService("AtprotoPersonalDataServer", endpoint)
    moved = replace(last.data, services={"atproto_pds": service})
    key = K256PrivateKey.from_bytes(bytes.fromhex(secret))
    store.append(Did(did), PlcOperation.sign(moved, prev=last.cid, key=key))
