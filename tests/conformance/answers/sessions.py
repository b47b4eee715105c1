"""com.atproto.server: sessions, tokens, app passwords; app.bsky.actor: preferences."""

from __future__ import annotations

from tests.conformance.answers.case import Topic, call, query

LOGIN = "com.atproto.server.createSession"
SESSION = "com.atproto.server.getSession"
REFRESH = "com.atproto.server.refreshSession"
CREATE = "com.atproto.server.createAppPassword"
REVOKE = "com.atproto.server.revokeAppPassword"
PUT = "app.bsky.actor.putPreferences"
HANDLE = "ann-sessions.test"
ADULT = {"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True}


def _login(identifier: object, password: str) -> dict[str, object]:
    return {"identifier": identifier, "password": password}


TOPIC = Topic(
    "sessions",
    ("ann",),
    (
        call("log in by handle", LOGIN, _login(HANDLE, "pw-ann")),
        call("log in by address", LOGIN, _login("ANN-sessions@example.com", "pw-ann")),
        call("log in by DID", LOGIN, _login("<ann>", "pw-ann")),
        call("wrong password", LOGIN, _login(HANDLE, "no")),
        call("unknown account", LOGIN, _login("nobody.test", "no")),
        call("no password", LOGIN, {"identifier": HANDLE}),
        call("a number as identifier", LOGIN, _login(5, "x")),
        call("a password that is too long", LOGIN, _login(HANDLE, "x" * 600)),
        query("session", SESSION, "ann"),
        query("session of nobody", SESSION),
        query("a scheme without a token", SESSION, "Bearer"),
        query("an unknown scheme", SESSION, "Foo bar"),
        query("the administrator's session", SESSION, "admin"),
        query("a token that is none", SESSION, "Bearer junk"),
        query("a refresh token as access token", SESSION, "ann:refresh"),
        call("refresh by access token", REFRESH, as_="ann"),
        call("refresh by nobody", REFRESH),
        call("refresh", REFRESH, as_="ann:refresh"),
        call("refresh with a body", REFRESH, {}, "ann:refresh"),
        call("app password by nobody", CREATE, {"name": "x"}),
        query("no app passwords", "com.atproto.server.listAppPasswords", "ann"),
        call("app password", CREATE, {"name": "x"}, "ann", keep={"app": ("password",)}),
        query("app passwords", "com.atproto.server.listAppPasswords", "ann"),
        call("log in by app password", LOGIN, _login("<ann>", "<app>"), keep={"t": ("accessJwt",)}),
        query("session of an app", SESSION, "Bearer <t>"),
        call("app password by an app", CREATE, {"name": "y"}, "Bearer <t>"),
        call("revoke an unknown app password", REVOKE, {"name": "z"}, "ann"),
        call("revoke an app password", REVOKE, {"name": "x"}, "ann"),
        call("log in by a revoked app password", LOGIN, _login("<ann>", "<app>")),
        call("put preferences", PUT, {"preferences": [ADULT]}, "ann"),
        query("get preferences", "app.bsky.actor.getPreferences", "ann"),
        call("a foreign preference", PUT, {"preferences": [{"$type": "com.x.y#z"}]}, "ann"),
        call("a preference without a type", PUT, {"preferences": [{"enabled": True}]}, "ann"),
        call("end the session", "com.atproto.server.deleteSession", as_="ann:refresh"),
        call("refresh an ended session", REFRESH, as_="ann:refresh"),
    ),
)
