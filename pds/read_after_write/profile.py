"""Views of profiles: the fields that come from the profile record.

Spec: app.bsky.actor.defs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pds.read_after_write.appview import Json
from pds.read_after_write.images import Images


def basic_view(did: str, handle: str, profile: Mapping[str, Any] | None, images: Images) -> Json:
    """Return a `profileViewBasic`. `profile` is the record, None if there is none."""
    view: Json = {"did": did, "handle": handle}
    update_basic(view, profile or {}, images)
    return view


def update_basic(view: Json, profile: Mapping[str, Any], images: Images) -> None:
    """Set or remove name and avatar in any view of a profile, according to the record."""
    _set(view, "displayName", _find_text(profile, "displayName"))
    _set(view, "avatar", images.find_url("avatar", profile.get("avatar")))


def update_detailed(view: Json, profile: Mapping[str, Any], images: Images) -> None:
    """Set or remove all fields of a `profileViewDetailed` that come from the record."""
    update_basic(view, profile, images)
    _set(view, "description", _find_text(profile, "description"))
    _set(view, "banner", images.find_url("banner", profile.get("banner")))


def _find_text(profile: Mapping[str, Any], name: str) -> str | None:
    text = profile.get(name)
    return text if type(text) is str else None


def _set(view: Json, name: str, value: str | None) -> None:
    if value is None:
        view.pop(name, None)
    else:
        view[name] = value
