"""OAuth clients with tokens of the entryway, good and wrong ones."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from repo.keys import K256PrivateKey
from tests.conformance.entryway.behind import Behind
from tests.entryway import DID, decode, sign
from tests.pds.oauth.client_keys import ClientKey
from tests.pds.oauth.tokens_of import thumbprint

KEY: Final = ClientKey.new()
STATUS: Final = "com.atproto.server.checkAccountStatus"
SESSION: Final = "com.atproto.server.getSession"
REFERENCE: Final = "ref:bafyreiabc"

CLAIMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "good": {},
    "several audiences": {"aud": ["did:web:other.example.com", "did:web:localhost"]},
    "other audience": {"aud": DID},
    "no audience": {"aud": None},
    "other issuer": {"iss": "https://other.example.com"},
    "expired": {"exp": 1},
    "no expiry": {"exp": None},
    "no time of issue": {"iat": None},
    "not yet valid": {"nbf": 4_000_000_000},
    "no DID": {"sub": "alice"},
    "other id": {"jti": "x"},
    "no key": {"cnf": None},
    "other key": {"cnf": {"jkt": "x" * 43}},
    "no scope": {"scope": None},
    "scope without atproto": {"scope": "transition:generic"},
    "client id that is a number": {"client_id": 1},
    "scope that is a number": {"scope": 1},
    "reference": {"scope": REFERENCE},
    "unknown reference": {"scope": f"{REFERENCE}d"},
}


def outcomes_of(behind: Behind, did: str) -> dict[str, Any]:
    """What a server answers an OAuth client of an account: status, error name and challenge."""
    entryway, jkt = behind.entryway, thumbprint(KEY)
    entryway.scopes[REFERENCE] = "atproto account:email"
    nonce = ""

    def ask(
        token: str, nsid: str = STATUS, scheme: str = "DPoP", verb: str = "GET", **proof: Any
    ) -> Any:
        nonlocal nonce
        told = {"nonce": nonce, "now_s": time.time(), "access_token": token, **proof}
        url = f"{entryway.pds_public_url}/xrpc/{nsid}"
        headers = {"Authorization": f"{scheme} {token}"}
        headers["DPoP"] = proof.get("sent") or KEY.proof(verb, url, **told)
        reply = behind.client.request(verb, f"/xrpc/{nsid}", headers=headers)
        nonce = reply.headers.get("dpop-nonce", nonce)
        challenge = reply.headers.get("www-authenticate", "")
        # Beyond the reference, a missing scope has a challenge here, as RFC 6750 asks.
        named = re.findall(r' error="(\w+)"', challenge) if reply.status != 403 else None
        body = reply.json
        error = body.get("error") if isinstance(body, dict) else None
        keys = sorted(body) if nsid == SESSION and error is None else None
        return reply.status, error, named, "dpop-nonce" in reply.headers, keys

    good = entryway.oauth_access(did, jkt)
    found = {"no nonce": ask(good, nonce=None), "other nonce": ask(good, nonce="x")}
    for name, claims in CLAIMS.items():
        found[name] = ask(entryway.oauth_access(did, jkt, **claims))
    url = f"{entryway.pds_public_url}/xrpc/{STATUS}"
    once = KEY.proof("GET", url, nonce=nonce, now_s=time.time(), access_token=good)
    found["proof"] = ask(good, sent=once)
    found["replayed proof"] = ask(good, sent=once)
    found["proof of another URL"] = ask(good, htu="https://other.example.com/")
    found["proof of another token"] = ask(good, ath="x")
    found["as bearer"] = ask(good, scheme="Bearer")
    claims = decode(good.split(".")[1])
    found["other signer"] = ask(sign(K256PrivateKey.generate(), "at+jwt", claims))
    found["other type"] = ask(sign(entryway.jwt_key, "refresh+jwt", claims))
    found["session token"] = ask(entryway.access(did))
    found["session"] = ask(good, SESSION)
    found["session with email"] = ask(entryway.oauth_access(did, jkt, REFERENCE), SESSION)
    confirm = "com.atproto.server.requestEmailConfirmation"
    found["scope missing"] = ask(good, confirm, verb="POST")
    found["never"] = ask(good, "com.atproto.server.listAppPasswords")
    return found
