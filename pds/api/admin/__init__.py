"""com.atproto.admin: moderation, and administration of accounts."""

from __future__ import annotations

from typing import Final

from pds.api.admin import accounts, email, invites, subjects
from pds.xrpc.methods import XrpcMethods

METHODS: Final[tuple[XrpcMethods, ...]] = (
    accounts.methods,
    email.methods,
    invites.methods,
    subjects.methods,
)
