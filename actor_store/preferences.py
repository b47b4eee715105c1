"""Preferences of one actor: private values that apps store for a user, one row each.

A caller with full access sees and sets everything. Others (app passwords, OAuth) can neither see
nor change the personal details, which hold the user's date of birth; everyone may see the age
limits derived from it.

Lexicon: app.bsky.actor.getPreferences, app.bsky.actor.putPreferences.

Errors: `InvalidPreference` and its `PreferenceNotAllowed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

import orjson

from actor_store.errors import ActorStoreError
from database.connection import Database

PERSONAL_DETAILS: Final = "app.bsky.actor.defs#personalDetailsPref"
DECLARED_AGE: Final = "app.bsky.actor.defs#declaredAgePref"

Preference: TypeAlias = dict[str, object]
"""A JSON object with a `$type`, otherwise opaque."""

_AGES: Final = (13, 16, 18)
_NAMESPACE: Final = "app.bsky"
_IN_NAMESPACE: Final = f"(name = '{_NAMESPACE}' OR name GLOB '{_NAMESPACE}.*')"


class InvalidPreference(ActorStoreError):
    """A value cannot be stored as a preference; the message is for the client."""


class PreferenceNotAllowed(InvalidPreference):
    """The caller may not set preferences of these types."""

    def __init__(self, types: Sequence[str]) -> None:
        super().__init__(f"Do not have authorization to set preferences: {', '.join(types)}")
        self.types = tuple(types)


class PreferenceReader:
    """Reads the preferences of one actor."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, *, full_access: bool, today: date) -> list[Preference]:
        """Return the preferences that the caller may see, oldest first.

        If a date of birth is stored, the declared age on the day `today` (UTC) comes last.
        """
        rows = self._db.all(f"SELECT valueJson FROM account_pref WHERE {_IN_NAMESPACE} ORDER BY id")
        stored: list[Preference] = [orjson.loads(text) for (text,) in rows]
        visible = [p for p in stored if full_access or p["$type"] != PERSONAL_DETAILS]
        details = next((p for p in stored if p["$type"] == PERSONAL_DETAILS), None)
        born = _birth_date(details) if details is not None else None
        return visible if born is None else [*visible, _declared_age(born, today)]


class PreferenceTransactor(PreferenceReader):
    """Writes the preferences of one actor. Every method needs an open transaction."""

    def put(self, preferences: Sequence[Mapping[str, object]], *, full_access: bool) -> None:
        """Replace all preferences that the caller may set.

        Declared ages are dropped, because they are derived on reading. Raises `InvalidPreference`
        for a value without `$type` or outside the namespace app.bsky, and `PreferenceNotAllowed`.
        """
        types = [_type_of(preference) for preference in preferences]
        if not all(name == _NAMESPACE or name.startswith(f"{_NAMESPACE}.") for name in types):
            raise InvalidPreference(f"Some preferences are not in the {_NAMESPACE} namespace")
        forbidden = [name for name in types if name == PERSONAL_DETAILS and not full_access]
        if forbidden:
            raise PreferenceNotAllowed(forbidden)
        self._db.run(
            f"DELETE FROM account_pref WHERE {_IN_NAMESPACE} AND (? OR name <> ?)",
            (full_access, PERSONAL_DETAILS),
        )
        self._db.many(
            "INSERT INTO account_pref (name, valueJson) VALUES (?, ?)",
            [
                (name, orjson.dumps(preference).decode())
                for name, preference in zip(types, preferences, strict=True)
                if name != DECLARED_AGE
            ],
        )


def _type_of(preference: Mapping[str, object]) -> str:
    name = preference.get("$type")
    if not isinstance(name, str) or not name:
        raise InvalidPreference("Preference is missing a $type")
    return name


def _birth_date(details: Preference) -> date | None:
    """Return the UTC day of birth, or None if it is missing or unreadable."""
    text = details.get("birthDate")
    if not isinstance(text, str):
        return None
    try:
        born = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (born if born.tzinfo is None else born.astimezone(UTC)).date()


def _declared_age(born: date, today: date) -> Preference:
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    declared: Preference = {f"isOverAge{years}": age >= years for years in _AGES}
    return {**declared, "$type": DECLARED_AGE}
