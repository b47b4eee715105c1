"""Accounts that are deactivated or taken down: what is hidden, from whom, and the way back."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers.case import Case, Topic, call, query

NOTE = "com.example.note"
LOGIN = "com.atproto.server.createSession"
UPDATE = "com.atproto.admin.updateSubjectStatus"
REPO = {"repo": "<who>", "collection": NOTE}
READS: tuple[tuple[str, dict[str, str]], ...] = (
    ("com.atproto.sync.getLatestCommit", {"did": "<who>"}),
    ("com.atproto.sync.getRepoStatus", {"did": "<who>"}),
    ("com.atproto.sync.getRepo", {"did": "<who>"}),
    ("com.atproto.sync.listBlobs", {"did": "<who>"}),
    ("com.atproto.repo.listRecords", REPO),
    ("com.atproto.repo.describeRepo", {"repo": "<who>"}),
    ("com.atproto.repo.getRecord", {**REPO, "rkey": "one"}),
)


def _reads(state: str, name: str) -> tuple[Case, ...]:
    def filled(params: dict[str, str]) -> dict[str, str]:
        return {key: value.replace("<who>", f"<{name}>") for key, value in params.items()}

    return tuple(query(f"{state}: {nsid}", nsid, **filled(params)) for nsid, params in READS)


def _write(state: str, name: str) -> Case:
    body = {"repo": f"<{name}>", "collection": NOTE, "record": {"n": 1}}
    return call(f"{state}: write", "com.atproto.repo.createRecord", body, name)


def _login(state: str, name: str, **more: Any) -> Case:
    body = {"identifier": f"<{name}>", "password": f"pw-{name}", **more}
    return call(f"{state}: log in", LOGIN, body)


def _takedown(name: str, subject: dict[str, str], as_: str | None = "admin", **more: Any) -> Case:
    takedown = {"applied": True, "ref": "case 1"} | more
    return call(name, UPDATE, {"subject": subject, "takedown": takedown}, as_)


CAT = {"$type": "com.atproto.admin.defs#repoRef", "did": "<cat>"}
STRANGER = {**CAT, "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}
STATUS = "com.atproto.admin.getSubjectStatus"
RECORD = {
    "$type": "com.atproto.repo.strongRef",
    "uri": f"at://<ben>/{NOTE}/hidden",
    "cid": "<record>",
}
BLOB = {"$type": "com.atproto.admin.defs#repoBlobRef", "did": "<ben>", "cid": "<blob>"}
NOTES = {"repo": "<ben>", "collection": NOTE}


def _note(name: str, rkey: str, *, keep: Any = None) -> Case:
    blob = {"$type": "blob", "ref": {"$link": "<blob>"}, "mimeType": "text/plain", "size": 6}
    body = {**NOTES, "rkey": rkey, "record": {"b": blob}}
    return call(name, "com.atproto.repo.createRecord", body, "ben", keep=keep)


def _where_hidden(state: str) -> tuple[Case, ...]:
    """Every way to see the record and the blob."""
    return (
        query(f"{state}: getRecord", "com.atproto.repo.getRecord", **NOTES, rkey="hidden"),
        query(f"{state}: its owner", "com.atproto.repo.getRecord", "ben", **NOTES, rkey="hidden"),
        query(f"{state}: listRecords", "com.atproto.repo.listRecords", **NOTES),
        query(
            f"{state}: its proof",
            "com.atproto.sync.getRecord",
            did="<ben>",
            collection=NOTE,
            rkey="hidden",
        ),
        query(f"{state}: the repository", "com.atproto.sync.getRepo", did="<ben>"),
        query(f"{state}: getBlob", "com.atproto.sync.getBlob", did="<ben>", cid="<blob>"),
        query(f"{state}: listBlobs", "com.atproto.sync.listBlobs", did="<ben>"),
        query(f"{state}: status of the record", STATUS, "admin", uri=RECORD["uri"]),
        query(f"{state}: status of the blob", STATUS, "admin", did="<ben>", blob="<blob>"),
    )


TOPIC = Topic(
    "moderation",
    ("ben", "cat"),
    (
        call("deactivate", "com.atproto.server.deactivateAccount", {}, "ben"),
        *_reads("deactivated", "ben"),
        query("deactivated: owner", "com.atproto.sync.getLatestCommit", "ben", did="<ben>"),
        query("deactivated: admin", "com.atproto.sync.getLatestCommit", "admin", did="<ben>"),
        _write("deactivated", "ben"),
        query("deactivated: session", "com.atproto.server.getSession", "ben"),
        _login("deactivated", "ben"),
        query(
            "deactivated: resolve",
            "com.atproto.identity.resolveHandle",
            handle="ben-moderation.test",
        ),
        call("activate", "com.atproto.server.activateAccount", as_="ben"),
        query("active again", "com.atproto.sync.getRepoStatus", did="<ben>"),
        call(
            "a blob",
            "com.atproto.repo.uploadBlob",
            b"hidden",
            "ben",
            headers={"Content-Type": "text/plain"},
            keep={"blob": ("blob", "ref", "$link")},
        ),
        _note("a record", "hidden", keep={"record": ("cid",)}),
        _takedown("take a record down", RECORD),
        _takedown("take a blob down", BLOB),
        *_where_hidden("hidden"),
        _note("a record with a hidden blob", "other"),
        _takedown("take a record down again", RECORD, ref="case 2"),
        _takedown("take a blob down again", BLOB, ref="case 2"),
        query("why a record is taken down", STATUS, "admin", uri=RECORD["uri"]),
        _takedown("put a record back", RECORD, applied=False),
        _takedown("put a blob back", BLOB, applied=False),
        *_where_hidden("shown again"),
        _takedown("take down as nobody", CAT, None),
        _takedown("take down as a user", CAT, "ben"),
        _takedown("take a stranger down", STRANGER),
        _takedown("take down", CAT),
        query("status as nobody", STATUS, did="<cat>"),
        query("status", STATUS, "admin", did="<cat>"),
        query("status of a stranger", STATUS, "admin", did=STRANGER["did"]),
        query("status of nothing", STATUS, "admin"),
        *_reads("taken down", "cat"),
        query("taken down: owner", "com.atproto.sync.getLatestCommit", "cat", did="<cat>"),
        query("taken down: admin", "com.atproto.sync.getLatestCommit", "admin", did="<cat>"),
        _write("taken down", "cat"),
        query("taken down: session", "com.atproto.server.getSession", "cat"),
        _login("taken down", "cat"),
        _login("taken down, to appeal", "cat", allowTakendown=True),
        call("taken down: refresh", "com.atproto.server.refreshSession", as_="cat:refresh"),
        query(
            "taken down: resolve",
            "com.atproto.identity.resolveHandle",
            handle="cat-moderation.test",
        ),
        _takedown("take down again", CAT, ref="case 2"),
        _takedown("reverse the takedown", CAT, applied=False),
        query("not taken down any more", "com.atproto.sync.getRepoStatus", did="<cat>"),
    ),
)
