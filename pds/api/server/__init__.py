"""com.atproto.server: the server itself, accounts, sessions, app passwords, invite codes."""

from __future__ import annotations

from typing import Final

from pds.api.server import (
    app_passwords,
    description,
    invites,
    service_auth,
    sessions,
    signing_keys,
    signup,
    status,
)
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    app_passwords.methods,
    description.methods,
    invites.methods,
    service_auth.methods,
    sessions.methods,
    signing_keys.methods,
    signup.methods,
    status.methods,
)
