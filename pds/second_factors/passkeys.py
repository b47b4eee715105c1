"""The table `holdfast_passkey`: passkeys of accounts, as a second factor or instead of all others.

Every passkey is discoverable, so that a sign-in need not say which ones an account has.

Spec: https://www.w3.org/TR/webauthn-3/
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    RegistrationCredential,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from database.connection import Database
from database.timestamps import Clock, iso_of
from pds.second_factors.challenges import Challenges
from pds.second_factors.errors import PasskeyCopied, PasskeyRefused, TooManyPasskeys
from repo.syntax import Did

MAX_EACH: Final = 20
MAX_ANSWER: Final = 16_384
"""Characters of what a browser answers; usual ones have 1,000."""
MAX_NAME: Final = 60
_TIMEOUT_MS: Final = 5 * 60 * 1000
"""How long a browser waits for its person."""
_MAX_ID_BYTES: Final = 1_023
_SET_UP: Final = "set up"
_SECOND: Final = "second"
_ALONE: Final = "alone"


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """This server, as passkeys know it."""

    id: str
    """The host name that passkeys are bound to."""
    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of an account, for its owner to see. Times are ISO 8601."""

    id: bytes
    name: str
    created_at: str
    used_at: str | None


@dataclass(frozen=True, slots=True)
class _Stored:
    did: Did
    public_key: bytes
    uses: int


class Passkeys:
    """Sets up passkeys and checks their answers.

    What makes options returns the JSON that the script of a page hands to the browser. What writes
    must be called inside a transaction, and raises `PasskeyRefused`.
    """

    def __init__(
        self, db: Database, party: RelyingParty, challenges: Challenges, *, clock: Clock
    ) -> None:
        self._db = db
        self._party = party
        self._challenges = challenges
        self._clock = clock

    def of(self, did: Did) -> list[Passkey]:
        """Return the passkeys of an account, the oldest first."""
        rows = self._db.all(
            "SELECT id, name, createdAt, usedAt FROM holdfast_passkey WHERE did = ?"
            " ORDER BY createdAt, id",
            (did,),
        )
        return [Passkey(*row) for row in rows]

    def options_to_set_up(self, did: Did, device_id: str, *, user_name: str, user_id: bytes) -> str:
        """Return the options for a new passkey. `user_id` says nothing about the person."""
        options = generate_registration_options(
            rp_id=self._party.id,
            rp_name=self._party.name,
            user_name=user_name,
            user_id=user_id,
            challenge=self._challenges.make(_SET_UP, did, device_id),
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=self._descriptors(did),
        )
        return options_to_json(options)

    def options_to_sign_in(self, device_id: str, did: Did | None) -> str:
        """Return the options for a sign-in: after the password of `did`, or instead of one."""
        needs = UserVerificationRequirement
        options = generate_authentication_options(
            rp_id=self._party.id,
            challenge=self._challenges.make(*_purpose(did), device_id),
            timeout=_TIMEOUT_MS,
            user_verification=needs.REQUIRED if did is None else needs.PREFERRED,
        )
        return options_to_json(options)

    def add(self, did: Did, device_id: str, answer: str, *, name: str) -> None:
        """Store the passkey that a browser has made. Raises `TooManyPasskeys`, too."""
        credential = _parse(answer, parse_registration_credential_json)
        challenge = self._take(credential, _SET_UP, did, device_id)
        if len(self.of(did)) >= MAX_EACH:
            raise TooManyPasskeys(MAX_EACH)
        with _refusing_what_is_malformed():
            verified = verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=self._party.origin,
            )
        if not 0 < len(verified.credential_id) <= _MAX_ID_BYTES:
            raise PasskeyRefused
        added = self._db.value(
            "INSERT INTO holdfast_passkey"
            " (id, did, publicKey, uses, name, transports, createdAt)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1",
            (
                verified.credential_id,
                did,
                verified.credential_public_key,
                verified.sign_count,
                name.strip()[:MAX_NAME] or "Passkey",
                orjson.dumps([one.value for one in credential.response.transports or ()]).decode(),
                iso_of(self._clock()),
            ),
        )
        if added is None:
            raise PasskeyRefused("This passkey is set up already")

    def check(self, device_id: str, answer: str, did: Did | None) -> Did:
        """Check a sign-in; return the account whose passkey it is, which is `did` if one is given.

        Without one, the passkey must have verified its owner, by a PIN, a finger or a face.
        """
        credential = _parse(answer, parse_authentication_credential_json)
        challenge = self._take(credential, *_purpose(did), device_id)
        stored = self._find(credential.raw_id)
        if stored is None or did not in (None, stored.did):
            raise PasskeyRefused("This passkey is not set up for this account")
        self._verify(credential, challenge, stored, alone=did is None)
        return stored.did

    def remove(self, did: Did, passkey_id: bytes) -> None:
        """Delete a passkey of an account; unknown ones are ignored."""
        self._db.run("DELETE FROM holdfast_passkey WHERE did = ? AND id = ?", (did, passkey_id))

    def remove_all(self, did: Did) -> None:
        """Delete all passkeys of an account."""
        self._db.run("DELETE FROM holdfast_passkey WHERE did = ?", (did,))

    def _verify(
        self,
        credential: AuthenticationCredential,
        challenge: bytes,
        stored: _Stored,
        *,
        alone: bool,
    ) -> None:
        with _refusing_what_is_malformed():
            verified = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=self._party.origin,
                credential_public_key=stored.public_key,
                # Compared below, where it has an error of its own.
                credential_current_sign_count=0,
                require_user_verification=alone,
            )
        # Passkeys that are synced between devices count nothing, and always say 0.
        counts = stored.uses > 0 or verified.new_sign_count > 0
        if counts and verified.new_sign_count <= stored.uses:
            raise PasskeyCopied
        self._db.run(
            "UPDATE holdfast_passkey SET uses = ?, usedAt = ? WHERE id = ?",
            (verified.new_sign_count, iso_of(self._clock()), credential.raw_id),
        )

    def _take(
        self, credential: RegistrationCredential | AuthenticationCredential, *bound_to: str
    ) -> bytes:
        """Use up the challenge that a browser has answered, and return it."""
        with _refusing_what_is_malformed():
            challenge = parse_client_data_json(credential.response.client_data_json).challenge
        self._challenges.take(challenge, *bound_to)
        return challenge

    def _find(self, passkey_id: bytes) -> _Stored | None:
        row = self._db.one(
            "SELECT did, publicKey, uses FROM holdfast_passkey WHERE id = ?", (passkey_id,)
        )
        return None if row is None else _Stored(*row)

    def _descriptors(self, did: Did) -> list[PublicKeyCredentialDescriptor]:
        rows = self._db.all("SELECT id, transports FROM holdfast_passkey WHERE did = ?", (did,))
        return [
            PublicKeyCredentialDescriptor(
                id=passkey_id,
                transports=[AuthenticatorTransport(one) for one in orjson.loads(transports)],
            )
            for passkey_id, transports in rows
        ]


def _purpose(did: Did | None) -> tuple[str, ...]:
    return (_ALONE,) if did is None else (_SECOND, did)


def _parse(answer: str, parse: Any) -> Any:
    if len(answer) > MAX_ANSWER:
        raise PasskeyRefused
    with _refusing_what_is_malformed():
        return parse(answer)


@contextmanager
def _refusing_what_is_malformed() -> Iterator[None]:
    """Raise `PasskeyRefused` for whatever the library raises about bytes of a stranger.

    It reads formats within formats, and fails at some of them with errors of all kinds.
    """
    try:
        yield
    except Exception as exc:
        raise PasskeyRefused from exc
