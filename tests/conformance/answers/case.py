"""One request of the table: what is sent, as whom, and what of the answer is needed later."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.client import Client, Reply, basic, bearer

Headers = Mapping[str, str]


@dataclass(slots=True, frozen=True)
class Case:
    """A request. `<name>` in a text stands for the DID of that account, or for what was kept."""

    name: str
    method: str
    path: str
    body: Any = None
    """JSON, unless it is bytes."""
    as_: str | None = None
    """An account, an account's refresh token (`ann:refresh`), `admin`, or a whole header."""
    headers: Headers = field(default_factory=dict)
    keep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names for parts of the answer, each with the way to it."""


@dataclass(slots=True, frozen=True)
class Topic:
    """Requests that are made in their order, by accounts of their own."""

    name: str
    accounts: tuple[str, ...]
    cases: tuple[Case, ...]


def query(name: str, nsid: str, as_: str | None = None, **params: Any) -> Case:
    """A query; a list gives a parameter more than once."""
    encoded = urllib.parse.urlencode(params, doseq=True, safe="<>:")
    return Case(name, "GET", f"/xrpc/{nsid}" + (f"?{encoded}" if encoded else ""), as_=as_)


def call(
    name: str,
    nsid: str,
    body: Any = None,
    as_: str | None = None,
    *,
    keep: Mapping[str, tuple[str, ...]] | None = None,
    headers: Headers | None = None,
) -> Case:
    """A procedure."""
    return Case(name, "POST", f"/xrpc/{nsid}", body, as_, headers or {}, keep or {})


@dataclass(slots=True, frozen=True)
class Answer:
    """What is compared. Identifiers, times and tokens are replaced by what they are."""

    status: int
    content_type: str | None
    body: Any
    """Without the message of an error."""
    message: str | None = None

    @property
    def brief(self) -> str:
        """The status, and the name of an error."""
        is_error = isinstance(self.body, dict) and "error" in self.body
        return f"{self.status} {self.body['error']}" if is_error else str(self.status)


ADMIN: Final = basic("admin", "admin-pass")
_WHOLE: Final = (
    (re.compile(r"eyJ[\w.-]+"), "JWT"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"[2-7a-j][2-7a-z]{12}"), "TID"),
    (re.compile(r"z[1-9A-HJ-NP-Za-km-z]{40,}"), "KEY"),
)
_WITHIN: Final = (
    (re.compile(r"did:plc:[2-7a-z]{24}"), "DID"),
    (re.compile(r"bafyrei[2-7a-z]{52}"), "CID"),
    (re.compile(r"(?<=\")[2-7a-j][2-7a-z]{12}(?=\")"), "TID"),
    (re.compile(r"(?<=/)[2-7a-j][2-7a-z]{12}$"), "TID"),
    (re.compile(r"\b[a-z2-7]{5}-[a-z2-7]{5}$"), "CODE"),
    (re.compile(r"http://localhost:\d+"), "URL"),
)


class Run:
    """One topic on one server."""

    def __init__(self, topic: Topic, client: Client, names: Mapping[str, str]) -> None:
        """`names` are known beside those of the accounts."""
        self._topic = topic
        self._client = client
        self._names = dict(names)
        self._tokens: dict[str, str] = {}

    def answers(self) -> dict[str, Answer]:
        """Make the accounts, then every request; returns the answers by name of the case."""
        for name in self._topic.accounts:
            self._sign_up(name)
        answers: dict[str, Answer] = {}
        for case in self._topic.cases:
            assert case.name not in answers, case.name
            reply = self._send(case)
            for name, way in case.keep.items():
                self._names[name] = _find(reply.json, way)
            answers[case.name] = self._answer(reply)
        return answers

    def _sign_up(self, name: str) -> None:
        handle = f"{name}-{self._topic.name}"
        body = {
            "handle": f"{handle}.test",
            "email": f"{handle}@example.com",
            "password": f"pw-{name}",
        }
        session = self._client.call("com.atproto.server.createAccount", body)
        self._names[name] = session["did"]
        self._tokens[name] = session["accessJwt"]
        self._tokens[f"{name}:refresh"] = session["refreshJwt"]

    def _send(self, case: Case) -> Reply:
        headers = {name: self._fill(value) for name, value in case.headers.items()}
        if case.as_ == "admin":
            headers |= ADMIN
        elif case.as_ in self._tokens:
            headers |= bearer(self._tokens[case.as_])
        elif case.as_ is not None:
            headers["Authorization"] = self._fill(case.as_)
        body = case.body
        if body is not None and not isinstance(body, bytes):
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(self._fill(body)).encode()
        return self._client.request(case.method, self._fill(case.path), headers=headers, body=body)

    def _fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item) for item in value]
        if isinstance(value, str):
            for name, text in self._names.items():
                value = value.replace(f"<{name}>", text)
        return value

    def _answer(self, reply: Reply) -> Answer:
        if reply.json is not None:
            body = self._plain(reply.json)
            message = body.pop("message", None) if "error" in body else None
            return Answer(reply.status, reply.content_type, body, message)
        is_text = (reply.content_type or "").startswith("text/html")
        car = reply.content_type == "application/vnd.ipld.car"
        body = "" if is_text or car else base64.b64encode(reply.body).decode()
        return Answer(reply.status, reply.content_type, body)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._plain(item) for key, item in sorted(value.items())}
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        return self._plain_text(value) if isinstance(value, str) else value

    def _plain_text(self, text: str) -> str:
        for name, known in self._names.items():
            text = text.replace(known, f"<{name}>")
        for pattern, word in _WHOLE:
            if pattern.fullmatch(text):
                return word
        for pattern, word in _WITHIN:
            text = pattern.sub(word, text)
        return text


def _find(value: Any, way: tuple[str, ...]) -> str:
    for key in way:
        value = value[key]
    return str(value)
