"""com.atproto.server: the server itself, accounts, sessions, passwords, mail, invite codes."""

from __future__ import annotations

from typing import Final

from pds.api.server import (
    app_passwords,
    deletion,
    description,
    email,
    invites,
    passwords,
    service_auth,
    sessions,
    signup,
    status,
)
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    app_passwords.methods,
    deletion.methods,
    description.methods,
    email.methods,
    invites.methods,
    passwords.methods,
    service_auth.methods,
    sessions.methods,
    signup.methods,
    status.methods,
)
