"""com.atproto.server: the server itself, accounts, sessions, app passwords, invite codes."""

from __future__ import annotations

from typing import Final

from pds.api.server import app_passwords, description, invites, sessions, signup, status
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    app_passwords.methods,
    description.methods,
    invites.methods,
    sessions.methods,
    signup.methods,
    status.methods,
)
