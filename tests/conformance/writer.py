"""What users do on a server, one of each: the same on either server."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.client import Client, bearer

POST = "app.bsky.feed.post"
NOTE = "com.example.note"
CREATED = "2026-01-01T00:00:00.000Z"


@dataclass(slots=True)
class Written:
    """What a round of writing leaves to be looked for."""

    dids: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    """By DID."""
    sessions: dict[str, Any] = field(default_factory=dict)
    """By name, as createSession or createAccount answered."""
    app_password: str = ""
    invite_code: str = ""
    """For one more account, on the next server."""
    hidden_blob: dict[str, str] = field(default_factory=dict)
    """The blob that is taken down: did and cid."""


def write_all(
    client: Client,
    admin: dict[str, str],
    *,
    tag: str,
    invite_code: str,
    resident: tuple[str, str],
) -> Written:
    """Make accounts and change everything that can be changed.

    `tag` keeps names apart from those of other rounds. `invite_code` is good for three accounts.
    `resident` is the DID and password of an account that was there before.
    """
    written = Written()
    for name in ("writer", "sleeper", "outcast"):
        _sign_up(client, written, f"{name}-{tag}", invite_code)
    writer = written.sessions[f"writer-{tag}"]
    _write_records(client, writer, tag)
    _write_profile(client, writer, tag)
    _hide_a_blob(client, writer, tag, admin, written)
    _set_up_account(client, writer, tag, written)
    client.call(
        "com.atproto.server.deactivateAccount", {}, _auth(written.sessions[f"sleeper-{tag}"])
    )
    outcast = written.dids[f"outcast-{tag}"]
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": outcast}
    _moderate(client, admin, subject, ref=f"case {tag}")
    did, password = resident
    old = client.call("com.atproto.server.createSession", {"identifier": did, "password": password})
    _write_records(client, old, tag)
    client.call("com.atproto.identity.updateHandle", {"handle": f"moved-{tag}.test"}, _auth(old))
    written.invite_code = client.call(
        "com.atproto.server.createInviteCode", {"useCount": 3}, admin
    )["code"]
    return written


def write_account(client: Client, name: str, *, domain: str) -> tuple[str, str]:
    """Make an account with records, blobs and preferences; returns its DID and password."""
    session = _create(client, name, domain=domain)
    _write_records(client, session, name)
    _write_profile(client, session, name)
    _set_up_account(client, session, name, Written(), domain=domain)
    return session["did"], _password(name)


def _create(client: Client, name: str, *, domain: str, **more: str) -> Any:
    body = {"handle": f"{name}{domain}", "email": f"{name}@example.com"}
    return client.call(
        "com.atproto.server.createAccount", {**body, "password": _password(name), **more}
    )


def _password(name: str) -> str:
    return f"{name}-password"


def _sign_up(client: Client, written: Written, name: str, invite_code: str) -> None:
    session = _create(client, name, domain=".test", inviteCode=invite_code)
    written.sessions[name] = session
    written.dids[name] = session["did"]
    written.passwords[session["did"]] = _password(name)


def _write_records(client: Client, session: Any, tag: str) -> None:
    repo, auth = session["did"], _auth(session)

    def call(method: str, **body: Any) -> Any:
        return client.call(f"com.atproto.repo.{method}", {"repo": repo, **body}, auth)

    first = call("createRecord", collection=POST, record=_post(f"first of {tag}"))
    call("createRecord", collection=POST, record=_post(f"ünïcödé 日本語 🦋 {tag}"))
    rkey = first["uri"].rpartition("/")[2]
    call("putRecord", collection=POST, rkey=rkey, record=_post(f"changed by {tag}"))
    doomed = call("createRecord", collection=POST, record=_post(f"deleted by {tag}"))
    call("deleteRecord", collection=POST, rkey=doomed["uri"].rpartition("/")[2])
    call(
        "putRecord",
        collection=NOTE,
        rkey="self",
        validate=False,
        record={
            "$type": NOTE,
            "by": tag,
            "bytes": {"$bytes": "aGVsbG8"},
            "link": {"$link": first["cid"]},
            "nested": {"int": 42, "neg": -7, "nul": None, "arr": [1, "two", True]},
        },
    )
    kind = "com.atproto.repo.applyWrites"
    creates = [
        {"$type": f"{kind}#create", "collection": NOTE, "rkey": f"{tag}-{n}", "value": _note(n)}
        for n in range(60)
    ]
    call("applyWrites", writes=creates, validate=False)
    changes = [
        {"$type": f"{kind}#update", "collection": NOTE, "rkey": f"{tag}-1", "value": _note(100)},
        {"$type": f"{kind}#delete", "collection": NOTE, "rkey": f"{tag}-2"},
        {"$type": f"{kind}#create", "collection": NOTE, "rkey": f"{tag}-x", "value": _note(101)},
    ]
    call("applyWrites", writes=changes, validate=False)


def _write_profile(client: Client, session: Any, tag: str) -> None:
    """A blob that is used, then another in its place."""
    for colour in (f"{tag} before", f"{tag} after"):
        record = {
            "$type": "app.bsky.actor.profile",
            "displayName": tag,
            "avatar": _upload(client, session, colour),
        }
        body = {"repo": session["did"], "collection": record["$type"], "rkey": "self"}
        client.call("com.atproto.repo.putRecord", {**body, "record": record}, _auth(session))


def _hide_a_blob(
    client: Client, session: Any, tag: str, admin: dict[str, str], written: Written
) -> None:
    did, blob = session["did"], _upload(client, session, f"{tag} hidden")
    body = {"repo": did, "collection": NOTE, "rkey": "hidden", "validate": False}
    record = {"$type": NOTE, "picture": blob}
    client.call("com.atproto.repo.createRecord", {**body, "record": record}, _auth(session))
    written.hidden_blob = {"did": did, "cid": blob["ref"]["$link"]}
    subject = {"$type": "com.atproto.admin.defs#repoBlobRef", **written.hidden_blob}
    _moderate(client, admin, subject, ref=f"case {tag}")


def _set_up_account(
    client: Client, session: Any, tag: str, written: Written, *, domain: str = ".test"
) -> None:
    auth = _auth(session)
    created = client.call("com.atproto.server.createAppPassword", {"name": f"app {tag}"}, auth)
    written.app_password = created["password"]
    preferences = [
        {"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True},
        {"$type": "app.bsky.actor.defs#interestsPref", "tags": [tag, "ünïcode"]},
    ]
    client.call("app.bsky.actor.putPreferences", {"preferences": preferences}, auth)
    client.call("com.atproto.identity.updateHandle", {"handle": f"renamed-{tag}{domain}"}, auth)


def reveal_blob(client: Client, admin: dict[str, str], blob: dict[str, str]) -> None:
    """Reverse the takedown of a blob."""
    subject = {"$type": "com.atproto.admin.defs#repoBlobRef", **blob}
    body = {"subject": subject, "takedown": {"applied": False}}
    client.call("com.atproto.admin.updateSubjectStatus", body, admin)


def _moderate(client: Client, admin: dict[str, str], subject: dict[str, str], *, ref: str) -> None:
    body = {"subject": subject, "takedown": {"applied": True, "ref": ref}}
    client.call("com.atproto.admin.updateSubjectStatus", body, admin)


def _upload(client: Client, session: Any, colour: str) -> Any:
    reply = client.request(
        "POST",
        "/xrpc/com.atproto.repo.uploadBlob",
        headers={**_auth(session), "Content-Type": "image/png"},
        body=_png(colour),
    )
    assert reply.status == 200, reply.body
    return reply.json["blob"]


def _png(colour: str) -> bytes:
    """A picture of one pixel; text makes it different from others."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return len(content).to_bytes(4) + kind + content + checksum.to_bytes(4)

    header = b"\0\0\0\1\0\0\0\1\x08\2\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tEXt", b"Comment\0" + colour.encode())
        + chunk(b"IDAT", zlib.compress(b"\0\1\2\3"))
        + chunk(b"IEND", b"")
    )


def _auth(session: Any) -> dict[str, str]:
    return bearer(session["accessJwt"])


def _post(text: str) -> dict[str, Any]:
    return {"$type": POST, "text": text, "langs": ["en"], "createdAt": CREATED}


def _note(number: int) -> dict[str, Any]:
    return {"$type": NOTE, "n": number}
