"""Profiles: the account's own shows what its record says."""

from __future__ import annotations

from typing import Any

import pytest

from pds.read_after_write.appview import UnexpectedAnswer
from pds.read_after_write.images import Images
from pds.read_after_write.merging import MERGES
from pds.read_after_write.profile import basic_view
from tests.pds.read_after_write.samples import (
    ANN,
    BLOB,
    BOB,
    CDN,
    GET_PROFILE,
    GET_PROFILES,
    IMAGES,
    PICTURE,
    Json,
    ann,
    checked,
    detailed_view,
    new_post,
    new_profile,
)

FULL = new_profile(displayName="Ann", description="new", avatar=BLOB, banner=BLOB)


async def merged(nsid: str, answer: Json, **requester: Any) -> Json:
    await MERGES[nsid](answer, ann(**requester), {})
    return checked(nsid, answer)


async def test_own_profile_shows_the_record() -> None:
    profile = await merged(GET_PROFILE, detailed_view(ANN), profile=FULL)
    assert profile == {
        **detailed_view(ANN),
        "displayName": "Ann",
        "description": "new",
        "avatar": f"https://cdn.example/img/avatar/plain/{ANN}/{PICTURE}@jpeg",
        "banner": f"https://cdn.example/img/banner/plain/{ANN}/{PICTURE}@jpeg",
    }


async def test_what_the_record_no_longer_has_is_gone() -> None:
    profile = await merged(GET_PROFILE, detailed_view(ANN), profile=new_profile())
    assert profile.keys() == detailed_view(ANN).keys() - {
        "displayName",
        "description",
        "avatar",
        "banner",
    }


async def test_profile_of_somebody_else_stays_as_it_is() -> None:
    assert await merged(GET_PROFILE, detailed_view(BOB), profile=FULL) == detailed_view(BOB)


async def test_profile_that_the_appview_knows_stays_as_it_is() -> None:
    answer = detailed_view(ANN)
    await MERGES[GET_PROFILE](answer, ann(new_post(1), old_profile={"displayName": "x"}), {})
    assert answer == detailed_view(ANN)


async def test_own_profile_among_others_shows_the_record() -> None:
    answer = {"profiles": [detailed_view(BOB), detailed_view(ANN)]}
    profiles = (await merged(GET_PROFILES, answer, profile=FULL))["profiles"]
    assert profiles[0] == detailed_view(BOB)
    assert profiles[1]["displayName"] == "Ann"


def test_without_a_cdn_images_come_from_here() -> None:
    images = Images(ANN, None, "https://pds.example")
    assert images.url("avatar", str(PICTURE)) == (
        f"https://pds.example/xrpc/com.atproto.sync.getBlob?did={ANN}&cid={PICTURE}"
    )


def test_text_of_a_did_is_no_place_in_the_pattern() -> None:
    images = Images("did:web:a%sb", CDN, "https://pds.example")
    assert images.url("avatar", "c") == "https://cdn.example/img/avatar/plain/did:web:a%sb/c@jpeg"


@pytest.mark.parametrize(
    ("avatar", "is_shown"),
    [
        (BLOB, True),
        ({"cid": str(PICTURE), "mimeType": "image/png"}, True),
        ({"cid": "nonsense", "mimeType": "image/png"}, False),
        ({"cid": 1}, False),
        ({"ref": "x"}, False),
        ({}, False),
        ("x", False),
        (None, False),
    ],
)
def test_avatar_of_any_age_or_none_is_shown(avatar: Any, is_shown: bool) -> None:
    view = basic_view(ANN, "ann.test", {"avatar": avatar, "displayName": 1}, IMAGES)
    shown = {"avatar": IMAGES.url("avatar", str(PICTURE))} if is_shown else {}
    assert view == {"did": ANN, "handle": "ann.test", **shown}


@pytest.mark.parametrize(
    "answer", [{}, {"profiles": None}, {"profiles": [1]}, {"profiles": [{"did": 1}]}]
)
async def test_other_shapes_are_refused(answer: Json) -> None:
    with pytest.raises(UnexpectedAnswer):
        await MERGES[GET_PROFILES](answer, ann(profile=FULL), {})
