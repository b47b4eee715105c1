"""com.atproto.admin: looking at accounts and invite codes, and changing accounts."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers.case import Case, Topic, call, query

NSID = "com.atproto.admin"
NOBODY = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


def _info(name: str, did: str, as_: str | None = "admin") -> Case:
    return query(name, f"{NSID}.getAccountInfo", as_, did=did)


def _codes(name: str, **params: Any) -> Case:
    return query(name, f"{NSID}.getInviteCodes", "admin", **params)


def _change(name: str, method: str, as_: str | None = "admin", **body: Any) -> Case:
    return call(name, f"{NSID}.{method}", body, as_)


def _login(name: str, password: str) -> Case:
    body = {"identifier": "ann-admin.test", "password": password}
    return call(name, "com.atproto.server.createSession", body)


TOPIC = Topic(
    "admin",
    ("ann", "ben"),
    (
        _info("an account", "<ann>"),
        _info("an account, asked for by nobody", "<ann>", None),
        _info("an account, asked for by a user", "<ann>", "ben"),
        _info("an account that is not here", NOBODY),
        _info("an account by its handle", "ann-admin.test"),
        # Of one account: the reference shows several in the order of their DIDs.
        query("accounts", f"{NSID}.getAccountInfos", "admin", dids=["<ann>", NOBODY, "<ann>"]),
        query("no accounts", f"{NSID}.getAccountInfos", "admin"),
        call(
            "a code for an account",
            "com.atproto.server.createInviteCode",
            {"useCount": 9, "forAccount": "<ann>"},
            "admin",
            keep={"code": ("code",)},
        ),
        *(
            call(
                f"sign up as guest {number}",
                "com.atproto.server.createAccount",
                {
                    "handle": f"guest{number}-admin.test",
                    "email": f"guest{number}-admin@example.com",
                    "password": "password",
                    "inviteCode": "<code>",
                },
                keep={f"guest{number}": ("did",)},
            )
            for number in range(6)
        ),
        _info("an account with a code", "<ann>"),
        _info("an account made with it", "<guest0>"),
        _codes("the code used most", sort="usage", limit=1),
        _codes("codes in an order that is none", sort="oldest"),
        _codes("codes behind a cursor that is none", cursor="x"),
        _codes("codes behind a cursor without a code", cursor="5::"),
        _codes("too few codes", limit=0),
        _codes("too many codes", limit=501),
        _change("disable the administrator's codes", "disableInviteCodes", accounts=["admin"]),
        _change("disable nothing", "disableInviteCodes"),
        _change("disable a code", "disableInviteCodes", codes=["<code>"]),
        _change("no new codes", "disableAccountInvites", account="<ann>", note="sells them"),
        _info("an account without codes", "<ann>"),
        _change("new codes again", "enableAccountInvites", account="<ann>"),
        _change("new codes for a handle", "enableAccountInvites", account="ann-admin.test"),
        _info("an account with codes again", "<ann>"),
        _change("a handle, by a user", "updateAccountHandle", "ann", did="<ann>", handle="x.test"),
        _change("a handle in use", "updateAccountHandle", did="<ann>", handle="ben-admin.test"),
        _change("a handle too short", "updateAccountHandle", did="<ann>", handle="x.test"),
        _change("a handle that is none", "updateAccountHandle", did="<ann>", handle="x"),
        _change("a handle for nobody", "updateAccountHandle", did=NOBODY, handle="zed.test"),
        _change("a reserved handle", "updateAccountHandle", did="<ben>", handle="root.test"),
        _info("an account with a reserved handle", "<ben>"),
        _change(
            "an address", "updateAccountEmail", account="ann-admin.test", email="New@Example.com"
        ),
        _change("an address for nobody", "updateAccountEmail", account=NOBODY, email="a@b.com"),
        _info("an account with a new address", "<ann>"),
        _change("too long a password", "updateAccountPassword", did="<ann>", password="x" * 257),
        _change("a password", "updateAccountPassword", did="<ann>", password="new"),
        _login("the old password", "pw-ann"),
        _login("the new password", "new"),
        call("the old session", "com.atproto.server.refreshSession", as_="ann:refresh"),
        _change("delete an account as a user", "deleteAccount", "ben", did="<ann>"),
        _change("delete an account", "deleteAccount", did="<ann>"),
        _info("an account that was deleted", "<ann>"),
        _change("delete nothing", "deleteAccount", did=NOBODY),
    ),
)
