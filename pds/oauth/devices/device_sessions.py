"""Recognising a browser by its two cookies, whose second one changes often.

A session id that somebody has copied is of use for minutes only: the next one replaces it, and the
copy, shown later, ends the device. Each id is made from the one before with a secret, so that the
one before is recognised for some seconds, while answers that carry the new one are on their way.
The reference PDS accepts any id in these seconds.

Nobody else can use these seconds: a third cookie, the key of the browser, goes into the new id, and
requests that crossed show the same key. Whoever has planted the ids in a browser, and waits for a
person to sign in there, does not know the key, and cannot plant one: see `pages/cookies`.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, epoch_s_of, iso_of
from pds.oauth.devices.device_table import DeviceRow, DeviceTable

ROTATION_S: Final = 300.0
"""How old a session id may become."""
STALE_S: Final = 5.0
"""How long the session id before is accepted, for requests that crossed."""
UNUSED_S: Final = 60 * 60.0
"""How long a browser in which nobody is signed in is remembered: longer than any request lasts."""
_EXAMINED_AT_ONCE: Final = 64
_USER_AGENT_CHARACTERS: Final = 500
_DEVICE_ID: Final = re.compile(r"dev-[0-9a-f]{32}")
_SESSION_ID: Final = re.compile(r"ses-[0-9a-f]{32}")


@dataclass(slots=True, frozen=True)
class Visitor:
    """What a request says about the browser."""

    device_id: str | None
    """Value of the cookie `dev-id`."""
    session_id: str | None
    """Value of the cookie `ses-id`."""
    ip_address: str
    user_agent: str | None
    key: str | None
    """Value of the cookie with the key of the browser."""


@dataclass(slots=True, frozen=True)
class Device:
    """A browser with the ids that its cookies must have from now on."""

    id: str
    session_id: str
    changed: bool
    """Whether the cookies have to be set."""


NO_DEVICE: Final = Device("", "", changed=False)
"""A browser that is not recognised, and gets no cookies."""


class DeviceSessions:
    """Recognises browsers, and gives them new session ids."""

    def __init__(self, db: Database, secret: bytes, *, clock: Clock = time.time) -> None:
        self._db = db
        self._table = DeviceTable(db)
        self._secret = secret
        self._clock = clock
        self._examined = 0
        """The row up to which old devices were looked for."""

    async def recognise(self, visitor: Visitor, *, rotate: bool = False) -> Device:
        """Return the visitor's device, a new one if its cookies are none that were given out.

        `rotate` asks for a new session id, as after each sign-in. Raises `DatabaseBusy`.
        """
        if not rotate:
            device = self._if_unchanged(visitor)
            if device is not None:
                return device
        return await write(self._db, lambda: self._recognise(visitor, rotate=rotate))

    def find(self, visitor: Visitor) -> str | None:
        """Return the id of the visitor's device if its cookies are current, and change nothing."""
        row = self._row(visitor)
        if row is None:
            return None
        known = row.session_id == visitor.session_id or self._is_former(visitor, row)
        return row.id if known else None

    def _row(self, visitor: Visitor) -> DeviceRow | None:
        device_id, session_id = visitor.device_id, visitor.session_id
        if device_id is None or _DEVICE_ID.fullmatch(device_id) is None:
            return None
        if session_id is None or _SESSION_ID.fullmatch(session_id) is None:
            return None
        return self._table.find(device_id)

    def _if_unchanged(self, visitor: Visitor) -> Device | None:
        row = self._row(visitor)
        if row is None or row.session_id != visitor.session_id or not self._is_fresh(row, visitor):
            return None
        return Device(row.id, row.session_id, changed=False)

    def _is_fresh(self, row: DeviceRow, visitor: Visitor) -> bool:
        return (
            _is_same_place(row, visitor)
            and self._clock() - epoch_s_of(row.last_seen_at) <= ROTATION_S
        )

    def _recognise(self, visitor: Visitor, *, rotate: bool) -> Device:
        row = self._row(visitor)
        if row is None:
            return self._create(visitor)
        if row.session_id != visitor.session_id:
            if not self._is_former(visitor, row):
                # A copy of old cookies: whoever has the current ones must sign in again, too.
                self._table.remove(row.id)
                return self._create(visitor)
            # Of several that crossed, the first has changed the id, also for the others.
            return Device(row.id, row.session_id, changed=True)
        if not rotate and self._is_fresh(row, visitor):
            return Device(row.id, row.session_id, changed=False)
        key = visitor.key
        if key is None:
            # The browser comes from the reference PDS, or never had a page with a form.
            key = secrets.token_hex() if rotate else ""
        return self._store(row.id, self._successor_of(row.id, row.session_id, key), visitor)

    def _create(self, visitor: Visitor) -> Device:
        now_s = self._clock()
        self._examined = self._table.remove_unused(
            iso_of(now_s - UNUSED_S), after=self._examined, rows=_EXAMINED_AT_ONCE
        )
        device = Device("dev-" + secrets.token_hex(16), "ses-" + secrets.token_hex(16), True)
        self._table.add(self._as_row(device.id, device.session_id, visitor))
        return device

    def _store(self, device_id: str, session_id: str, visitor: Visitor) -> Device:
        self._table.replace(self._as_row(device_id, session_id, visitor))
        return Device(device_id, session_id, changed=True)

    def _as_row(self, device_id: str, session_id: str, visitor: Visitor) -> DeviceRow:
        agent = _shortened(visitor.user_agent)
        return DeviceRow(device_id, session_id, agent, visitor.ip_address, iso_of(self._clock()))

    def _successor_of(self, device_id: str, session_id: str, key: str) -> str:
        mac = hmac.digest(self._secret, f"{device_id} {session_id} {key}".encode(), "sha256")
        return "ses-" + mac[:16].hex()

    def _is_former(self, visitor: Visitor, row: DeviceRow) -> bool:
        """Whether the visitor's session id is the one before the current, replaced just now."""
        if self._clock() - epoch_s_of(row.last_seen_at) > STALE_S:
            return False
        if not _is_same_place(row, visitor):
            return False
        successor = self._successor_of(row.id, visitor.session_id or "", visitor.key or "")
        return hmac.compare_digest(successor, row.session_id)


def _is_same_place(row: DeviceRow, visitor: Visitor) -> bool:
    where = row.ip_address, row.user_agent
    return where == (visitor.ip_address, _shortened(visitor.user_agent))


def _shortened(user_agent: str | None) -> str | None:
    return None if user_agent is None else user_agent[:_USER_AGENT_CHARACTERS]
