"""Service tokens: what is checked of them, and where they are accepted."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey, P256PrivateKey
from repo.syntax import Did
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.identities import ForeignDid, register_foreign_did

UPLOAD = "com.atproto.repo.uploadBlob"
CREATE_ACCOUNT = "com.atproto.server.createAccount"


def encode(part: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=")


def _service_token(owner: ForeignDid, **changes: Any) -> str:
    """A token by hand: `header_` changes its header, others its claims, None leaves one out."""
    header = {"typ": "JWT", "alg": "ES256K", **changes.pop("header_", {})}
    key = changes.pop("key_", owner.key)
    payload = {
        "iss": owner.did,
        "aud": "did:web:localhost",
        "exp": int(time.time()) + 60,
        "lxm": CREATE_ACCOUNT,
        **changes,
    }
    payload = {name: value for name, value in payload.items() if value is not None}
    signed = f"{encode(header)}.{encode(payload)}"
    signature = base64.urlsafe_b64encode(key.sign(signed.encode())).decode().rstrip("=")
    return f"{signed}.{signature}"


POORLY = ("BadJwt", "poorly formatted jwt")
MISSING_LXM = (
    "BadJwtLexiconMethod",
    f'missing jwt lexicon method ("lxm"). must match: {CREATE_ACCOUNT}',
)
BAD_LXM = ("BadJwtLexiconMethod", f'bad jwt lexicon method ("lxm"). must match: {CREATE_ACCOUNT}')
REFUSED_SERVICE_TOKENS: list[tuple[Callable[[ForeignDid], str], tuple[str, str]]] = [
    (lambda _: "x", POORLY),
    (lambda _: "a.b", POORLY),
    (lambda owner: _service_token(owner) + ".x", POORLY),
    (lambda owner: _service_token(owner, header_={"alg": 5}), POORLY),
    (lambda owner: _service_token(owner, iss=None), POORLY),
    (lambda owner: _service_token(owner, aud=5), POORLY),
    (lambda owner: _service_token(owner, exp="soon"), POORLY),
    (lambda _: base64.b64encode(b"[" * 4_000).decode().rstrip("=") + ".e30.AAAA", POORLY),
    *(
        (
            lambda owner, typ=typ: _service_token(owner, header_={"typ": typ}),
            ("BadJwtType", f'Invalid jwt type "{typ}"'),
        )
        for typ in ("at+jwt", "refresh+jwt", "dpop+jwt")
    ),
    (lambda owner: _service_token(owner, exp=1), ("JwtExpired", "jwt expired")),
    (lambda owner: _service_token(owner, lxm=None), MISSING_LXM),
    (lambda owner: _service_token(owner, lxm=UPLOAD), BAD_LXM),
    (lambda owner: _service_token(owner, lxm="*"), BAD_LXM),
    (
        lambda owner: _service_token(owner, iss="alice.test"),
        ("BadJwtIss", "jwt iss is not a valid did"),
    ),
    (
        lambda owner: _service_token(owner, iss="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"),
        ("AuthenticationRequired", "could not resolve iss did"),
    ),
    (
        lambda owner: _service_token(owner, iss=f"{owner.did}#atproto_labeler"),
        ("UntrustedIss", "Untrusted issuer"),
    ),
    (
        lambda owner: _service_token(owner, nbf=int(time.time()) + 3600),
        ("BadJwt", "jwt not yet valid"),
    ),
    (
        lambda owner: _service_token(owner, key_=K256PrivateKey.from_bytes(b"\x09" * 32)),
        ("BadJwtSignature", "jwt signature does not match jwt issuer"),
    ),
    (
        lambda owner: _service_token(owner, key_=P256PrivateKey.from_bytes(b"\x09" * 32)),
        ("BadJwtSignature", "jwt signature does not match jwt issuer"),
    ),
    (
        lambda owner: _service_token(owner).rpartition(".")[0] + ".",
        ("BadJwtSignature", "jwt signature does not match jwt issuer"),
    ),
    (
        lambda owner: _service_token(owner, aud="did:web:other.example.com"),
        ("BadJwtAudience", "jwt audience does not match service did"),
    ),
    (
        lambda owner: _service_token(owner, aud="did:web:localhost#atproto_pds"),
        ("BadJwtAudience", "jwt audience does not match service did"),
    ),
]


@pytest.mark.parametrize(("make", "refusal"), REFUSED_SERVICE_TOKENS)
async def test_service_tokens_are_checked_in_full(
    pds: Pds, make: Callable[[ForeignDid], str], refusal: tuple[str, str]
) -> None:
    owner = register_foreign_did(pds)
    body = {"handle": "dana.test", "email": "dana@example.com", "did": owner.did}
    headers = {"Authorization": f"Bearer {make(owner)}"}
    reply = await pds.post(CREATE_ACCOUNT, body, headers)
    assert reply.status == 401
    assert (reply.json["error"], reply.json["message"]) == refusal


async def test_a_session_token_is_no_service_token(pds: Pds, alice: Account) -> None:
    body = {"handle": "dana.test", "email": "dana@example.com", "did": alice.did}
    reply = await pds.post(CREATE_ACCOUNT, body, alice.auth)
    assert reply.status == 401


async def test_a_key_that_was_rotated_is_found(pds: Pds) -> None:
    """The DID document is fetched anew when the signature does not fit the one that is known."""
    owner = register_foreign_did(pds)
    await pds.ctx.did_resolver.resolve(owner.did)
    new_key = P256PrivateKey.generate()
    last = pds.plc.find_last(owner.did)
    assert last is not None
    assert last.data is not None
    data = last.data
    owner.update(
        pds,
        type(data)(
            rotation_keys=data.rotation_keys,
            verification_methods={"atproto": new_key.did_key},
            also_known_as=data.also_known_as,
            services=data.services,
        ),
    )
    token = create_service_jwt(
        new_key,
        iss=owner.did,
        aud="did:web:localhost",
        now_s=int(time.time()),
        lxm=CREATE_ACCOUNT,
    )
    body = {"handle": "dana.test", "email": "dana@example.com", "did": owner.did}
    reply = await pds.post(CREATE_ACCOUNT, body, {"Authorization": f"Bearer {token}"})
    assert reply.status == 200


async def test_the_labeler_s_key_is_not_the_account_s(pds: Pds, alice: Account) -> None:
    """It makes no account of its DID, and uploads nothing in its account."""
    labeler_key = K256PrivateKey.generate()
    owner = register_foreign_did(pds)
    ours = ForeignDid(Did(alice.did), pds.ctx.rotation_key)
    for one in (owner, ours):
        last = pds.plc.find_last(one.did)
        assert last is not None
        assert last.data is not None
        keys = {**last.data.verification_methods, "atproto_label": labeler_key.did_key}
        one.update(pds, replace(last.data, verification_methods=keys))
    for fragment in ("#atproto_labeler", "#atproto_label", "#", ""):
        token = _service_token(owner, iss=owner.did + fragment, key_=labeler_key)
        body = {"handle": "dana.test", "email": "dana@example.com", "did": owner.did}
        reply = await pds.post(CREATE_ACCOUNT, body, {"Authorization": f"Bearer {token}"})
        assert reply.status == 401
        token = _service_token(ours, iss=ours.did + fragment, key_=labeler_key, lxm=UPLOAD)
        alice.access_jwt = token
        assert (await pds.upload(alice, b"hello", "text/plain")).status == 401


async def test_an_account_uploads_with_a_token_it_signed_for_that(pds: Pds, alice: Account) -> None:
    key = pds.ctx.actor_store.key(alice.did)

    async def upload(lxm: str | None) -> Reply:
        token = create_service_jwt(
            key, iss=alice.did, aud="did:web:localhost", now_s=int(time.time()), lxm=lxm
        )
        alice.access_jwt = token
        return await pds.upload(alice, b"hello", "text/plain")

    assert (await upload(UPLOAD)).status == 200
    assert (await upload(CREATE_ACCOUNT)).error == (401, "BadJwtLexiconMethod")
    # Without a method it is taken for a session token, and is none.
    assert (await upload(None)).error == (400, "InvalidToken")


async def test_a_deeply_nested_token_is_refused_where_two_kinds_are_accepted(
    pds: Pds, alice: Account
) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 3_000).decode().rstrip("=")
    for token in (f"{deep}.e30.AAAA", f"{encode({'alg': 'HS256'})}.{deep}.AAAA"):
        alice.access_jwt = token
        reply = await pds.upload(alice, b"hello", "text/plain")
        assert reply.error == (400, "InvalidToken")


async def test_a_token_from_before_a_takedown_uploads_nothing(pds: Pds, alice: Account) -> None:
    key = pds.ctx.actor_store.key(alice.did)
    alice.access_jwt = create_service_jwt(
        key, iss=alice.did, aud="did:web:localhost", now_s=int(time.time()), lxm=UPLOAD
    )
    assert (await pds.upload(alice, b"hello", "text/plain")).status == 200
    await make_inactive(pds, alice, "takendown")
    assert (await pds.upload(alice, b"hello", "text/plain")).error == (401, "AccountTakedown")
