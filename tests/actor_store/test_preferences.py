"""Preferences: what a put replaces, and who sees what."""

from __future__ import annotations

from datetime import date

import pytest

from actor_store.preferences import (
    DECLARED_AGE,
    PERSONAL_DETAILS,
    InvalidPreference,
    Preference,
    PreferenceNotAllowed,
    PreferenceTransactor,
)
from database.connection import Database

TODAY = date(2026, 11, 20)
FEEDS: Preference = {"$type": "app.bsky.actor.defs#savedFeedsPref", "saved": ["at://ü/1"]}
THREADS: Preference = {"$type": "app.bsky.actor.defs#threadViewPref", "sort": "newest"}


@pytest.fixture
def preferences(db: Database) -> PreferenceTransactor:
    return PreferenceTransactor(db)


def born(text: object) -> Preference:
    return {"$type": PERSONAL_DETAILS, "birthDate": text}


def seen(preferences: PreferenceTransactor, *, full_access: bool = True) -> list[Preference]:
    return preferences.get(full_access=full_access, today=TODAY)


def test_new_account_has_no_preferences(preferences: PreferenceTransactor) -> None:
    assert seen(preferences) == []


def test_put_replaces_the_whole_set_and_keeps_its_order(preferences: PreferenceTransactor) -> None:
    preferences.put([THREADS], full_access=True)
    preferences.put([FEEDS, THREADS, FEEDS], full_access=True)
    assert seen(preferences) == [FEEDS, THREADS, FEEDS]
    preferences.put([], full_access=True)
    assert seen(preferences) == []


def test_values_are_stored_as_the_reference_stores_them(
    preferences: PreferenceTransactor, db: Database
) -> None:
    preferences.put([FEEDS], full_access=True)
    assert db.all("SELECT name, valueJson FROM account_pref") == [
        (FEEDS["$type"], '{"$type":"app.bsky.actor.defs#savedFeedsPref","saved":["at://ü/1"]}')
    ]


@pytest.mark.parametrize("kind", ["com.example.pref", "app.bskyx", "app.bskyx.pref", "App.bsky.x"])
def test_preference_outside_the_namespace_is_refused(
    preferences: PreferenceTransactor, kind: str
) -> None:
    preferences.put([FEEDS], full_access=True)
    with pytest.raises(
        InvalidPreference, match=r"^Some preferences are not in the app\.bsky namespace$"
    ):
        preferences.put([{"$type": kind}], full_access=True)
    assert seen(preferences) == [FEEDS]


def test_the_namespace_itself_is_a_type(preferences: PreferenceTransactor) -> None:
    preferences.put([{"$type": "app.bsky"}], full_access=True)
    assert seen(preferences) == [{"$type": "app.bsky"}]


@pytest.mark.parametrize("value", [{}, {"$type": ""}, {"$type": 5}, {"$type": None}])
def test_preference_without_type_is_refused(
    preferences: PreferenceTransactor, value: Preference
) -> None:
    with pytest.raises(InvalidPreference, match=r"^Preference is missing a \$type$"):
        preferences.put([value], full_access=True)


def test_put_leaves_other_namespaces_alone(preferences: PreferenceTransactor, db: Database) -> None:
    other = ("app.bskyx.pref", '{"$type":"app.bskyx.pref"}')
    db.run("INSERT INTO account_pref (name, valueJson) VALUES (?, ?)", other)
    preferences.put([FEEDS], full_access=True)
    assert db.value("SELECT count(*) FROM account_pref") == 2
    assert seen(preferences) == [FEEDS]


def test_personal_details_are_hidden_without_full_access(
    preferences: PreferenceTransactor,
) -> None:
    preferences.put([born("1990-05-01T00:00:00Z"), FEEDS], full_access=True)
    kinds = [p["$type"] for p in seen(preferences, full_access=False)]
    assert kinds == [FEEDS["$type"], DECLARED_AGE]


def test_personal_details_cannot_be_set_without_full_access(
    preferences: PreferenceTransactor,
) -> None:
    with pytest.raises(PreferenceNotAllowed) as caught:
        preferences.put([born("1990-05-01T00:00:00Z"), FEEDS], full_access=False)
    assert str(caught.value) == f"Do not have authorization to set preferences: {PERSONAL_DETAILS}"
    assert caught.value.types == (PERSONAL_DETAILS,)


def test_put_without_full_access_keeps_personal_details(preferences: PreferenceTransactor) -> None:
    details = born("1990-05-01T00:00:00Z")
    preferences.put([details, FEEDS], full_access=True)
    preferences.put([THREADS], full_access=False)
    assert seen(preferences)[:-1] == [details, THREADS]


@pytest.mark.parametrize(
    ("text", "ages"),
    [
        ("2013-11-20T23:59:59Z", (True, False, False)),
        ("2013-11-21T00:00:00Z", (False, False, False)),
        ("2010-11-20T00:00:00.000Z", (True, True, False)),
        ("2010-11-20T23:00:00-05:00", (True, False, False)),
        ("2008-11-20T00:00:00Z", (True, True, True)),
        ("2008-11-21T00:00:00Z", (True, True, False)),
        ("2999-01-01T00:00:00Z", (False, False, False)),
    ],
)
def test_declared_age_follows_from_the_utc_day_of_birth(
    preferences: PreferenceTransactor, text: str, ages: tuple[bool, bool, bool]
) -> None:
    preferences.put([born(text)], full_access=True)
    thirteen, sixteen, eighteen = ages
    assert seen(preferences)[-1] == {
        "isOverAge13": thirteen,
        "isOverAge16": sixteen,
        "isOverAge18": eighteen,
        "$type": DECLARED_AGE,
    }


@pytest.mark.parametrize("text", ["unknown", 1990, None])
def test_no_age_is_declared_without_a_readable_date(
    preferences: PreferenceTransactor, text: object
) -> None:
    preferences.put([born(text)], full_access=True)
    assert seen(preferences) == [born(text)]


def test_declared_age_is_never_stored(preferences: PreferenceTransactor) -> None:
    preferences.put([{"$type": DECLARED_AGE, "isOverAge18": True}, FEEDS], full_access=True)
    assert seen(preferences) == [FEEDS]
