"""An account's name for itself: the display name of its profile record."""

from __future__ import annotations

from typing import Final

from actor_store.reader import ActorStoreReader
from pds.web.browse.record_text import UNSEEN
from repo.odd_record import read_kept
from repo.record import LARGE_BYTES, InvalidRecord

NAME_CHARACTERS: Final = 100
"""The rest of a name is not shown; clients allow 64 visible characters."""
_COLLECTION: Final = "app.bsky.actor.profile"
_RKEY: Final = "self"


def find_name(actor: ActorStoreReader) -> str | None:
    """Return the name, in one line; None if the account has none, or none that is readable."""
    record = actor.record.find(_COLLECTION, _RKEY)
    if record is None or len(record.block) >= LARGE_BYTES:
        return None
    try:
        profile = read_kept(record.block)
    except InvalidRecord:
        return None
    name = profile.get("displayName")
    if not isinstance(name, str):
        return None
    shown = " ".join(UNSEEN.sub("", name).split())[:NAME_CHARACTERS]
    # An odd record may hold invalid Unicode, which no database accepts.
    return shown.encode("utf-8", "replace").decode() or None
