"""Views of profiles: what of them a profile record says.

Spec: app.bsky.actor.defs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pds.read_after_write.appview import Json
from pds.read_after_write.images import Images


def basic_view(did: str, handle: str, profile: Mapping[str, Any] | None, images: Images) -> Json:
    """A `profileViewBasic`. `profile` is the record, None if there is none."""
    view: Json = {"did": did, "handle": handle}
    update_basic(view, profile or {}, images)
    return view


def update_basic(view: Json, profile: Mapping[str, Any], images: Images) -> None:
    """Let any view of a profile show the name and the avatar of the record, or that it has none."""
    _set(view, "displayName", _find_text(profile, "displayName"))
    _set(view, "avatar", images.find_url("avatar", profile.get("avatar")))


def update_detailed(view: Json, profile: Mapping[str, Any], images: Images) -> None:
    """Let a `profileViewDetailed` show what the record says, and nothing of an earlier one."""
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
