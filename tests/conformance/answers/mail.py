"""Mail, and what is done by token: com.atproto.server, requestPlcOperationSignature, sendEmail.

Neither server sends mails here, so the tokens that these accounts have are not the right ones.
"""

from __future__ import annotations

from tests.conformance.answers.case import Topic, call, query

CONFIRMATION = "com.atproto.server.requestEmailConfirmation"
CONFIRM = "com.atproto.server.confirmEmail"
UPDATE = "com.atproto.server.requestEmailUpdate"
CHANGE = "com.atproto.server.updateEmail"
RESET = "com.atproto.server.requestPasswordReset"
SET = "com.atproto.server.resetPassword"
DELETION = "com.atproto.server.requestAccountDelete"
DELETE = "com.atproto.server.deleteAccount"
CODES = "com.atproto.server.getAccountInviteCodes"
PLC = "com.atproto.identity.requestPlcOperationSignature"
SEND = "com.atproto.admin.sendEmail"
STATUS = "com.atproto.admin.updateSubjectStatus"
LOGIN = "com.atproto.server.createSession"
WRONG = "AAAAA-AAAAA"


def _email(name: str) -> str:
    return f"{name}-mail@example.com"


def _deletion(**changes: str) -> dict[str, str]:
    return {"did": "<ann>", "password": "pw-ann", "token": WRONG} | changes


def _mail(did: str) -> dict[str, str]:
    return {"recipientDid": did, "senderDid": "<bob>", "content": "<p>Hello</p>"}


TOPIC = Topic(
    "mail",
    ("ann", "bob", "cal"),
    (
        call("ask to confirm", CONFIRMATION, as_="ann"),
        call("ask to confirm as nobody", CONFIRMATION),
        call("ask to confirm with a body", CONFIRMATION, {}, "ann"),
        call("confirm by a wrong token", CONFIRM, {"email": _email("ann"), "token": WRONG}, "ann"),
        call("confirm another address", CONFIRM, {"email": _email("x"), "token": WRONG}, "ann"),
        call("confirm without a token", CONFIRM, {"email": _email("ann")}, "ann"),
        call("ask to change", UPDATE, as_="ann"),
        call("change to no address", CHANGE, {"email": "no"}, "ann"),
        call("change to minutes of mail", CHANGE, {"email": "a@mailinator.com"}, "ann"),
        call("change to a taken address", CHANGE, {"email": _email("bob").upper()}, "ann"),
        call("change by a wrong token", CHANGE, {"email": _email("x"), "token": WRONG}, "ann"),
        call("change to the same", CHANGE, {"email": _email("ann")}, "ann"),
        call("change", CHANGE, {"email": "New-Mail@example.com"}, "ann"),
        query("the session after a change", "com.atproto.server.getSession", "ann"),
        call("ask for a password", RESET, {"email": "NEW-mail@example.com"}),
        call("ask for a password of nobody", RESET, {"email": _email("ann")}),
        call("ask for a password without address", RESET, {}),
        call("set a password by a wrong token", SET, {"token": WRONG, "password": "x"}),
        call("set a long password", SET, {"token": WRONG, "password": "x" * 257}),
        call("ask to delete", DELETION, as_="ann"),
        call("ask to delete as nobody", DELETION),
        call("delete by a wrong token", DELETE, _deletion()),
        call("delete by a wrong password", DELETE, _deletion(password="no")),
        call("delete by a long password", DELETE, _deletion(password="x" * 513)),
        call("delete a stranger", DELETE, _deletion(did="did:plc:" + "a" * 24)),
        call("delete what is no DID", DELETE, _deletion(did="ann")),
        query("invite codes", CODES, "ann"),
        query("no more invite codes", CODES, "ann", includeUsed="false", createAvailable="false"),
        query("invite codes of nobody", CODES),
        call("ask for a PLC operation", PLC, as_="ann"),
        call("ask for a PLC operation as nobody", PLC),
        call("write to ann", SEND, _mail("<ann>"), "admin"),
        call("write to a stranger", SEND, _mail("did:plc:" + "a" * 24), "admin"),
        call("write as a user", SEND, _mail("<ann>"), "ann"),
        call("write as nobody", SEND, _mail("<ann>")),
        call("write without a sender", SEND, {"recipientDid": "<ann>", "content": "x"}, "admin"),
        call(
            "app password",
            "com.atproto.server.createAppPassword",
            {"name": "x"},
            "ann",
            keep={"app": ("password",)},
        ),
        call(
            "log in by app password",
            LOGIN,
            {"identifier": "<ann>", "password": "<app>"},
            keep={"t": ("accessJwt",)},
        ),
        call("an app asks to confirm", CONFIRMATION, as_="Bearer <t>"),
        call("an app asks to change", UPDATE, as_="Bearer <t>"),
        call("an app changes", CHANGE, {"email": _email("x")}, "Bearer <t>"),
        call("an app asks to delete", DELETION, as_="Bearer <t>"),
        call("an app asks for a PLC operation", PLC, as_="Bearer <t>"),
        query("an app asks for invite codes", CODES, "Bearer <t>"),
        call("delete by an app password", DELETE, _deletion(password="<app>")),
        call("deactivate", "com.atproto.server.deactivateAccount", {}, "cal"),
        call("ask to confirm, deactivated", CONFIRMATION, as_="cal"),
        call("ask to change, deactivated", UPDATE, as_="cal"),
        call("ask to delete, deactivated", DELETION, as_="cal"),
        call("ask for a PLC operation, deactivated", PLC, as_="cal"),
        call("ask for a password, deactivated", RESET, {"email": _email("cal")}),
        query("invite codes, deactivated", CODES, "cal"),
        call("write to a deactivated account", SEND, _mail("<cal>"), "admin"),
        call(
            "take bob down",
            STATUS,
            {
                "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": "<bob>"},
                "takedown": {"applied": True, "ref": "x"},
            },
            "admin",
        ),
        call("ask to confirm, taken down", CONFIRMATION, as_="bob"),
        call("ask to change, taken down", UPDATE, as_="bob"),
        call("change, taken down", CHANGE, {"email": _email("x")}, "bob"),
        call("ask to delete, taken down", DELETION, as_="bob"),
        call("ask for a PLC operation, taken down", PLC, as_="bob"),
        call("ask for a password, taken down", RESET, {"email": _email("bob")}),
        query("invite codes, taken down", CODES, "bob"),
        call("write to an account that is taken down", SEND, _mail("<bob>"), "admin"),
    ),
)
