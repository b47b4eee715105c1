"""Requests under way: from the request to its code, once, in one browser."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import orjson
import pytest

from database.change_watch import ChangeWatch
from database.connection import Database
from database.timestamps import iso_of
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.schema import open_account_database
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.errors import AccessDenied, InvalidGrant, InvalidRequest
from pds.oauth.requests.authorization_requests import (
    KEPT_S,
    LIFETIME_S,
    AuthorizationRequests,
)
from pds.oauth.requests.stored import StoredRequest
from tests.pds.accounts.conftest import ALICE, BOB, START_S, FakeClock
from tests.pds.oauth.clients.metadata_samples import CLIENT_ID
from tests.pds.oauth.requests.samples import SCOPE, parameters, payload

DEVICE = "dev-" + "0" * 32
OTHER_DEVICE = "dev-" + "1" * 32
AUTH = ClientAuth("private_key_jwt", alg="ES256", kid="key-1", jkt="thumb", jti="jti", exp=5)


async def opened(requests: AuthorizationRequests) -> StoredRequest:
    """A request that the person is looking at."""
    request = await requests.create(CLIENT_ID, AUTH, parameters())
    return await requests.open(request.request_uri, client_id=CLIENT_ID, device_id=DEVICE)


async def granted(requests: AuthorizationRequests) -> str:
    """The code of a request that alice has granted."""
    request = await opened(requests)
    answer = await requests.authorize(request.request_uri, did=ALICE, device_id=DEVICE)
    assert answer.code is not None
    return answer.code


def rows(db: Database) -> int:
    count: int = db.value("SELECT count(*) FROM authorization_request")
    return count


async def test_a_row_is_what_the_reference_stores(
    requests: AuthorizationRequests, db: Database
) -> None:
    request = await requests.create(CLIENT_ID, AUTH, parameters())

    row = db.one(
        "SELECT id, did, deviceId, clientId, clientAuth, parameters, expiresAt, code"
        " FROM authorization_request"
    )

    assert row is not None
    assert re.fullmatch(r"req-[0-9a-f]{32}", row[0])
    assert request.request_uri == f"urn:ietf:params:oauth:request_uri:{row[0]}"
    assert row[1:4] == (None, None, CLIENT_ID)
    assert orjson.loads(row[4]) == {
        "method": "private_key_jwt",
        "jti": "jti",
        "exp": 5,
        "jkt": "thumb",
        "alg": "ES256",
        "kid": "key-1",
    }
    assert orjson.loads(row[5]) == payload()
    assert row[6:] == (iso_of(START_S + LIFETIME_S), None)


async def test_a_request_of_a_browser_has_no_client_authentication(
    requests: AuthorizationRequests, db: Database
) -> None:
    request = await requests.create(CLIENT_ID, None, parameters(), device_id=DEVICE)

    assert db.one("SELECT clientAuth, deviceId FROM authorization_request") == ("null", DEVICE)
    opened = await requests.open(request.request_uri, client_id=CLIENT_ID, device_id=DEVICE)
    assert opened.client_auth is None


async def test_rows_of_the_reference_can_be_read(
    requests: AuthorizationRequests, db: Database
) -> None:
    legacy = '{"method":"urn:ietf:params:oauth:client-assertion-type:jwt-bearer","alg":"ES256"}'
    code = "cod-" + "a" * 64
    db.run(
        "INSERT INTO authorization_request VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *("req-" + "a" * 32, ALICE, DEVICE, CLIENT_ID, legacy),
            *(orjson.dumps(payload()).decode(), iso_of(START_S + 1), code),
        ),
    )

    grant = await requests.consume(code)

    assert (grant.did, grant.device_id, grant.client_id) == (ALICE, DEVICE, CLIENT_ID)
    assert grant.client_auth == ClientAuth("private_key_jwt", alg="ES256")
    assert grant.parameters.json == payload()


async def test_opening_binds_a_request_to_the_browser_and_extends_it(
    requests: AuthorizationRequests, clock: FakeClock
) -> None:
    request = await opened(requests)
    clock.now_s += LIFETIME_S - 1
    again = await requests.open(request.request_uri, client_id=None, device_id=None)

    assert again.device_id == DEVICE
    assert again.expires_at == START_S + LIFETIME_S - 1 + LIFETIME_S


async def test_a_request_is_unknown_under_another_name(requests: AuthorizationRequests) -> None:
    with pytest.raises(InvalidRequest, match="Unknown request_uri"):
        await requests.open(
            "urn:ietf:params:oauth:request_uri:req-" + "0" * 32, client_id=None, device_id=DEVICE
        )


@pytest.mark.parametrize(
    "text", ["", "x", "req-" + "0" * 32, "urn:ietf:params:oauth:request_uri:req-" + "X" * 32]
)
async def test_what_names_no_request_is_refused(requests: AuthorizationRequests, text: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid request_uri format"):
        await requests.open(text, client_id=None, device_id=DEVICE)


async def test_another_browser_ends_a_request(
    requests: AuthorizationRequests, db: Database
) -> None:
    request = await opened(requests)

    with pytest.raises(AccessDenied, match="initiated from another device") as refused:
        await requests.open(request.request_uri, client_id=CLIENT_ID, device_id=OTHER_DEVICE)

    assert refused.value.parameters == request.parameters
    assert rows(db) == 0


async def test_another_client_ends_a_request(requests: AuthorizationRequests, db: Database) -> None:
    request = await requests.create(CLIENT_ID, AUTH, parameters())
    with pytest.raises(AccessDenied, match="initiated for another client"):
        await requests.open(request.request_uri, client_id="https://evil.app/x", device_id=DEVICE)
    assert rows(db) == 0


async def test_a_request_expires(
    requests: AuthorizationRequests, db: Database, clock: FakeClock
) -> None:
    request = await opened(requests)
    clock.now_s += LIFETIME_S + 1
    with pytest.raises(AccessDenied, match="This request has expired"):
        await requests.open(request.request_uri, client_id=CLIENT_ID, device_id=DEVICE)
    assert rows(db) == 0


async def test_a_request_expires_while_the_person_decides(
    requests: AuthorizationRequests, clock: FakeClock
) -> None:
    request = await opened(requests)
    clock.now_s += LIFETIME_S + 1
    with pytest.raises(AccessDenied, match="This request has expired"):
        await requests.authorize(request.request_uri, did=ALICE, device_id=DEVICE)


async def test_only_the_browser_that_opened_a_request_can_grant_it(
    requests: AuthorizationRequests, db: Database
) -> None:
    unopened = await requests.create(CLIENT_ID, AUTH, parameters())
    with pytest.raises(AccessDenied, match="This request was not initiated"):
        await requests.authorize(unopened.request_uri, did=ALICE, device_id=DEVICE)
    request = await opened(requests)
    with pytest.raises(AccessDenied, match="initiated from another device"):
        await requests.authorize(request.request_uri, did=ALICE, device_id=OTHER_DEVICE)
    assert rows(db) == 0


async def test_a_request_is_granted_once(requests: AuthorizationRequests) -> None:
    request = await opened(requests)
    answer = await requests.authorize(request.request_uri, did=ALICE, device_id=DEVICE)

    assert answer.did == ALICE
    assert re.fullmatch(r"cod-[0-9a-f]{64}", answer.code or "")
    assert answer == await requests.authorize(
        request.request_uri, did=ALICE, device_id=DEVICE, scope="atproto"
    )
    with pytest.raises(AccessDenied, match="This request was already authorized"):
        await requests.authorize(request.request_uri, did=BOB, device_id=DEVICE)


async def test_a_granted_request_cannot_be_opened_again(requests: AuthorizationRequests) -> None:
    request = await opened(requests)
    answer = await requests.authorize(request.request_uri, did=ALICE, device_id=DEVICE)
    assert answer.code is not None

    with pytest.raises(AccessDenied, match="This request was already authorized"):
        await requests.open(request.request_uri, client_id=CLIENT_ID, device_id=DEVICE)
    with pytest.raises(InvalidGrant, match="Invalid code"):
        await requests.consume(answer.code)


async def test_what_was_granted_can_be_told_again_to_those_who_granted_it(
    requests: AuthorizationRequests, clock: FakeClock
) -> None:
    request = await opened(requests)
    uri = request.request_uri
    same = {"client_id": CLIENT_ID, "device_id": DEVICE, "did": ALICE}
    assert requests.find_granted(uri, **same) is None
    answer = await requests.authorize(uri, did=ALICE, device_id=DEVICE)

    assert requests.find_granted(uri, **same) == answer
    for others in ({"client_id": "x"}, {"device_id": OTHER_DEVICE}, {"did": BOB}):
        assert requests.find_granted(uri, **{**same, **others}) is None
    clock.now_s += LIFETIME_S + 1
    assert requests.find_granted(uri, **same) is None
    clock.now_s -= LIFETIME_S + 1
    await requests.consume(answer.code or "")
    assert requests.find_granted(uri, **same) is None


async def test_a_deactivated_account_grants_nothing(
    requests: AuthorizationRequests, db: Database
) -> None:
    request = await opened(requests)
    with pytest.raises(AccessDenied, match="This account has been deactivated"):
        await requests.authorize(
            request.request_uri, did=ALICE, device_id=DEVICE, is_deactivated=True
        )
    assert rows(db) == 0


async def test_the_person_may_take_scopes_away_and_add_none(
    requests: AuthorizationRequests,
) -> None:
    request = await opened(requests)
    answer = await requests.authorize(
        request.request_uri, did=ALICE, device_id=DEVICE, scope="atproto repo:*"
    )
    assert request.parameters.scope == SCOPE
    assert answer.parameters.scope == "atproto"
    assert (await requests.consume(answer.code or "")).parameters.scope == "atproto"


async def test_the_person_cannot_take_the_account_itself_away(
    requests: AuthorizationRequests, db: Database
) -> None:
    request = await opened(requests)
    with pytest.raises(AccessDenied, match='The "atproto" scope is required'):
        await requests.authorize(
            request.request_uri, did=ALICE, device_id=DEVICE, scope="transition:generic"
        )
    assert rows(db) == 0


async def test_a_code_is_exchanged_once(requests: AuthorizationRequests, db: Database) -> None:
    code = await granted(requests)

    grant = await requests.consume(code)

    assert (grant.code, grant.did, grant.device_id) == (code, ALICE, DEVICE)
    assert (grant.client_id, grant.client_auth) == (CLIENT_ID, AUTH)
    assert rows(db) == 0
    with pytest.raises(InvalidGrant, match="Invalid code"):
        await requests.consume(code)


async def test_a_grant_says_which_sessions_of_its_account_had_been_ended(
    requests: AuthorizationRequests, db: Database, clock: FakeClock
) -> None:
    assert (await requests.consume(await granted(requests))).cutoff_s == 0
    saved = AccessCutoffs(db, ChangeWatch(db), clock=clock).save(ALICE)
    assert (await requests.consume(await granted(requests))).cutoff_s == saved


async def test_of_two_processes_with_one_code_one_gets_it(
    requests: AuthorizationRequests, tmp_path: Path, clock: FakeClock
) -> None:
    code = await granted(requests)
    other = open_account_database(tmp_path / "account.sqlite")
    both = (requests, AuthorizationRequests(other, clock=clock))

    outcomes = await asyncio.gather(*(one.consume(code) for one in both), return_exceptions=True)

    other.close()
    assert sorted(type(one).__name__ for one in outcomes) == ["CodeGrant", "InvalidGrant"]


async def test_a_code_expires_and_is_gone(
    requests: AuthorizationRequests, db: Database, clock: FakeClock
) -> None:
    code = await granted(requests)
    clock.now_s += LIFETIME_S + 1
    with pytest.raises(InvalidGrant, match="This code has expired"):
        await requests.consume(code)
    assert rows(db) == 0


@pytest.mark.parametrize("text", ["", "cod-", "cod-" + "0" * 64, "null", "%", "x" * 10_000])
async def test_no_other_text_is_a_code(requests: AuthorizationRequests, text: str) -> None:
    await requests.create(CLIENT_ID, AUTH, parameters())
    with pytest.raises(InvalidGrant, match="Invalid code"):
        await requests.consume(text)


async def test_a_request_that_was_refused_is_gone(
    requests: AuthorizationRequests, db: Database
) -> None:
    request = await opened(requests)
    await requests.delete(request.request_uri)
    await requests.delete(request.request_uri)
    assert rows(db) == 0


async def test_the_client_of_a_request_can_be_looked_up(requests: AuthorizationRequests) -> None:
    request = await requests.create(CLIENT_ID, AUTH, parameters())
    assert requests.find_client_id(request.request_uri) == CLIENT_ID
    await requests.delete(request.request_uri)
    assert requests.find_client_id(request.request_uri) is None


async def test_old_requests_make_room_for_new_ones(
    requests: AuthorizationRequests, db: Database, clock: FakeClock
) -> None:
    for _ in range(250):
        await requests.create(CLIENT_ID, AUTH, parameters())
    clock.now_s += LIFETIME_S + KEPT_S - 1
    await requests.create(CLIENT_ID, AUTH, parameters())
    assert rows(db) == 251
    clock.now_s += 2
    for _ in range(3):
        await requests.create(CLIENT_ID, AUTH, parameters())
    assert rows(db) == 4


async def test_a_request_is_still_told_that_it_has_expired_ten_minutes_later(
    requests: AuthorizationRequests, clock: FakeClock
) -> None:
    request = await requests.create(CLIENT_ID, AUTH, parameters())
    clock.now_s += LIFETIME_S + KEPT_S - 1
    await requests.create(CLIENT_ID, AUTH, parameters())
    with pytest.raises(AccessDenied, match="This request has expired"):
        await requests.open(request.request_uri, client_id=CLIENT_ID, device_id=DEVICE)


async def test_a_flood_pushes_out_the_requests_that_wait_for_longest(
    db: Database, clock: FakeClock
) -> None:
    requests = AuthorizationRequests(db, clock=clock, max_waiting=100)
    code = await granted(requests)
    clock.now_s += 1
    made = [await requests.create(CLIENT_ID, None, parameters()) for _ in range(400)]
    assert rows(db) < 200
    await requests.open(made[-1].request_uri, client_id=CLIENT_ID, device_id=DEVICE)
    assert (await requests.consume(code)).did == ALICE
