"""What DIDs say of their accounts, against what this server has."""

from __future__ import annotations

import pytest

from identity.http import SafeHttp
from pds.config.addresses import is_same_server
from pds.doctor.finding import Finding
from pds.doctor.identities import (
    SAMPLE_SIZE,
    Expected,
    NotPublished,
    NotReachable,
    Published,
    check_identities,
    choose,
    judge,
)
from pds.doctor.surroundings import _check
from pds.reporting import no_progress
from tests.pds.conftest import Pds

_URL, _KEY, _ROTATION = "https://pds.test", "did:key:zSigning", "did:key:zRotation"
_ACCOUNT = Expected("did:plc:x", "alice.test", _KEY)
_SOUND = Published(_KEY, _URL, ("did:key:zOther", _ROTATION))


def test_the_hold_may_be_at_a_url_of_its_own() -> None:
    hold = Expected("did:web:hold.test", "hold.test", _KEY, "https://hold.test")
    published = Published(_KEY, "https://hold.test", None)
    assert judge(hold, published, public_url=_URL, rotation_key=_ROTATION) is None
    finding = judge(hold, Published(_KEY, _URL, None), public_url=_URL, rotation_key=_ROTATION)
    assert finding is not None
    assert "not https://hold.test" in finding.message


@pytest.mark.parametrize(
    ("published", "words"),
    [
        (Published("did:key:zElse", _URL, (_ROTATION,)), "did:key:zElse"),
        (Published(None, _URL, (_ROTATION,)), "(none)"),
        (Published(_KEY, "https://other.test", (_ROTATION,)), "https://other.test"),
        (Published(_KEY, _URL, ("did:key:zOther",)), "rotation key"),
    ],
)
def test_each_disagreement_is_told(published: Published, words: str) -> None:
    finding = judge(_ACCOUNT, published, public_url=_URL, rotation_key=_ROTATION)
    assert finding is not None
    assert (finding.status, finding.subject) == ("error", "did:plc:x")
    assert words in finding.message
    assert "alice.test" in finding.message
    assert finding.remedy


def test_all_faults_of_one_did_are_one_finding() -> None:
    published = Published(None, None, ())
    finding = judge(_ACCOUNT, published, public_url=_URL, rotation_key=_ROTATION)
    assert finding is not None
    assert "signing key" in finding.message
    assert "server" in finding.message
    assert "rotation key" in finding.message


@pytest.mark.parametrize("published", [_SOUND, Published(_KEY, _URL, None)])
def test_a_did_that_agrees_is_fine(published: Published) -> None:
    assert judge(_ACCOUNT, published, public_url=_URL, rotation_key=_ROTATION) is None


def test_a_sample_is_taken_unless_everyone_is_asked_for() -> None:
    accounts = [Expected(f"did:plc:{number}", None, _KEY) for number in range(100)]
    sample = choose(accounts, everyone=False)
    assert len({each.did for each in sample}) == SAMPLE_SIZE
    assert choose(accounts, everyone=True) == accounts


async def look_up(did: str) -> Published:
    if did == "did:plc:gone":
        raise NotPublished("DID not registered")
    if did == "did:plc:silent":
        raise NotReachable("no answer")
    return _SOUND


async def checked(*dids: str, total: int | None = None) -> list[Finding]:
    return await check_identities(
        [Expected(did, None, _KEY) for did in dids],
        total=len(dids) if total is None else total,
        lookup=look_up,
        public_url=_URL,
        rotation_key=_ROTATION,
        on_progress=lambda done, count: None,
    )


async def test_a_did_that_is_gone_is_an_error_and_one_not_reached_is_skipped() -> None:
    gone, silent, summary = await checked("did:plc:gone", "did:plc:silent", "did:plc:a")
    assert (gone.status, gone.subject) == ("error", "did:plc:gone")
    assert silent.status == "skipped"
    assert "did:plc:silent" in silent.message
    assert (summary.status, summary.message) == ("ok", "1 of 3 accounts looked up agree")


async def test_a_sample_says_of_how_many_it_is() -> None:
    (summary,) = await checked("did:plc:a", total=340)
    assert summary.message == "1 of 1 account looked up agree of 340; --identities looks up all"


async def test_accounts_are_looked_up_in_the_directory(pds: Pds) -> None:
    account = await pds.create_account()
    key = pds.ctx.actor_store.key(account.did).did_key
    accounts = [Expected(account.did, account.handle, key)]
    findings = await _check(pds.ctx.settings, accounts, everyone=True, progress=no_progress)
    assert [f.message for f in findings if f.check == "identity"] == [
        "1 of 1 account looked up agree"
    ]
    assert all(finding.status in ("ok", "skipped") for finding in findings)
    wrong = [Expected(account.did, account.handle, "did:key:zElse")]
    findings = await _check(pds.ctx.settings, wrong, everyone=True, progress=no_progress)
    (problem,) = [finding for finding in findings if finding.is_problem]
    assert problem.subject == account.did


async def test_without_a_directory_nobody_is_looked_up(pds: Pds) -> None:
    async with SafeHttp():
        settings = pds.ctx.settings.model_copy(
            update={
                "identity": pds.ctx.settings.identity.model_copy(
                    update={"plc_url": "http://127.0.0.1:1"}
                )
            }
        )
        findings = await _check(settings, [_ACCOUNT], everyone=True, progress=no_progress)
    assert [(each.check, each.status) for each in findings if each.status != "ok"] == [
        ("PLC directory", "error"),
        ("host name", "skipped"),
        ("identity", "skipped"),
    ]


@pytest.mark.parametrize(
    ("endpoint", "is_same"),
    [
        ("https://pds.example.com", True),
        ("https://PDS.Example.com", True),
        ("HTTPS://pds.example.com.", True),
        ("https://pds.example.com:8443", False),
        ("https://pds.example.com/", False),
        ("http://pds.example.com", False),
        ("https://pds.example.com.evil.example", False),
        ("https://", False),
        ("pds.example.com", False),
        ("", False),
        (None, False),
    ],
)
def test_a_did_leads_here_however_the_host_is_written(endpoint: str | None, is_same: bool) -> None:
    """The reference has put a PDS_HOSTNAME with capitals into its DIDs."""
    assert is_same_server(endpoint, "https://pds.example.com") is is_same
    assert is_same_server("http://LOCALHOST:2583", "http://localhost:2583")
