"""From Holdfast to the reference and back, with people signed in to apps all the while.

Each server is stopped, and the next starts on the same directory and port. Apps go on with the
tokens they have, and browsers are still signed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pds.dev.plc_store import PlcStore
from repo.syntax import Did
from tests.conformance.oauth_app import App, Browser, code_in
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

RECORD = {
    "collection": "app.bsky.feed.post",
    "record": {"text": "x", "createdAt": "2026-01-01T00:00:00Z"},
}


@dataclass
class Journey:
    """A directory, who runs on it, and what each of the apps saw."""

    directory: Path
    port: int
    plc_url: str
    seen: dict[str, object] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @contextmanager
    def served_by(self, start: Callable[..., ServerProcess], name: str) -> Iterator[None]:
        env = data.environment(self.directory) | {"PDS_DID_PLC_URL": self.plc_url}
        server = start(env, port=self.port, log_file=self.directory.with_name(f"{name}.log"))
        try:
            yield
        finally:
            server.stop()


def signed_in_at_holdfast(browser: Browser, app: App, account: dict[str, str]) -> None:
    """Sign in on the pages, stay signed in, and agree."""
    page = browser.open(app.push())
    page = browser.send(
        page,
        "/sign-in",
        username=account["handle"],
        password=account["password"],
        remember="true",
    )
    assert app.redeem(browser.send(page, "/consent").answer["code"]).status == 200


def agreed_at_holdfast(browser: Browser, app: App, did: str) -> None:
    """Agree as somebody who is signed in already."""
    page = browser.open(app.push())
    assert "password" not in {name for form in page.forms for name, _ in form.fields}
    if any(form.action.endswith("/choose") for form in page.forms):
        page = browser.send(page, "/choose", did=did)
    assert app.redeem(browser.send(page, "/consent").answer["code"]).status == 200


def agreed_at_reference(browser: Browser, app: App, did: str) -> None:
    """The same, with what the page of the reference calls."""
    query = app.push()
    assert browser.open(query).status == 200
    answer = browser.ask("/consent", query, did=did)
    assert app.redeem(code_in(answer["url"])).status == 200


@pytest.fixture(scope="module")
def journey(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    home = tmp_path_factory.mktemp("journey")
    directory, port = data.unpack(home / "data"), free_port()
    store = PlcStore(home / "plc.sqlite")
    plc.import_logs(store)
    for account in data.manifest()["accounts"].values():
        plc.move(store, Did(account["did"]), f"http://localhost:{port}")
    store.close()
    with plc.directory_of(home / "plc.sqlite") as plc_url:
        yield _travel(Journey(directory, port, plc_url), reference)


def _travel(journey: Journey, reference: Reference) -> Journey:
    alice, bob = (data.manifest()["accounts"][name] for name in ("alice", "bob"))
    browser, others = Browser(journey.url), Browser(journey.url)
    first, second, third = (App(journey.url) for _ in range(3))
    stolen = App(journey.url)
    seen = journey.seen
    with journey.served_by(serve, "first"):
        signed_in_at_holdfast(browser, first, alice)
        signed_in_at_holdfast(others, stolen, bob)
        used = stolen.tokens["refresh_token"]
        stolen.refresh()
    with journey.served_by(reference.serve, "reference"):
        seen["session at the reference"] = first.call("GET", "com.atproto.server.getSession").json
        seen["refresh at the reference"] = first.refresh().status
        body = {**RECORD, "repo": alice["did"]}
        seen["write at the reference"] = first.call(
            "POST", "com.atproto.repo.createRecord", body
        ).status
        agreed_at_reference(browser, second, alice["did"])
        seen["replay at the reference"] = stolen.refresh(used).json
        seen["stolen session"] = stolen.call("GET", "com.atproto.server.getSession").status
    with journey.served_by(serve, "last"):
        for name, app in (("first", first), ("second", second)):
            reply = app.call("GET", "com.atproto.server.getSession")
            seen[f"{name} session"] = (reply.status, reply.json.get("did"))
            used = app.tokens["refresh_token"]
            seen[f"{name} refresh"] = app.refresh().status
            seen[f"{name} write"] = app.call("POST", "com.atproto.repo.createRecord", body).status
        seen["replay"] = second.refresh(used).json
        seen["after the replay"] = second.call("GET", "com.atproto.server.getSession").status
        agreed_at_holdfast(browser, third, alice["did"])
        seen["third session"] = third.call("GET", "com.atproto.server.getSession").json["did"]
    return journey


def test_tokens_of_holdfast_go_on_at_the_reference(journey: Journey) -> None:
    session = journey.seen["session at the reference"]
    assert isinstance(session, dict)
    assert session["did"] == data.manifest()["accounts"]["alice"]["did"]
    assert journey.seen["refresh at the reference"] == 200
    assert journey.seen["write at the reference"] == 200


def test_a_stolen_refresh_token_of_holdfast_ends_the_session_at_the_reference(
    journey: Journey,
) -> None:
    assert journey.seen["replay at the reference"] == {
        "error": "invalid_grant",
        "error_description": "Refresh token replayed",
    }
    assert journey.seen["stolen session"] == 401


@pytest.mark.parametrize("name", ["first", "second"])
def test_tokens_of_the_reference_go_on_at_holdfast(journey: Journey, name: str) -> None:
    did = data.manifest()["accounts"]["alice"]["did"]
    assert journey.seen[f"{name} session"] == (200, did)
    assert journey.seen[f"{name} refresh"] == 200
    assert journey.seen[f"{name} write"] == 200


def test_a_stolen_refresh_token_of_the_reference_ends_the_session_at_holdfast(
    journey: Journey,
) -> None:
    assert journey.seen["replay"] == {
        "error": "invalid_grant",
        "error_description": "Refresh token replayed",
    }
    assert journey.seen["after the replay"] == 401


def test_browsers_stay_signed_in(journey: Journey) -> None:
    assert journey.seen["third session"] == data.manifest()["accounts"]["alice"]["did"]
