"""The settings as documents have to name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic_core import PydanticUndefined

from pds.config.environ import groups_of, kind_of, variable_of
from pds.config.settings import Settings

_TYPES: Final = {str: "string", int: "integer", bool: "boolean", tuple: "list"}


@dataclass(frozen=True, slots=True)
class DocumentedSetting:
    """One setting: its variable, group, type, default as text (empty if none) and meaning."""

    name: str
    group: str
    type: str
    default: str
    description: str


def documented_settings() -> tuple[DocumentedSetting, ...]:
    """Every setting in the order of its class, so that a document can be compared with it."""
    return tuple(
        DocumentedSetting(
            name=variable_of(field),
            group=group_name,
            type=_TYPES[kind_of(field)],
            default=_default_text(field.default),
            description=field.description or "",
        )
        for group_name, group in groups_of(Settings).items()
        for field in group.model_fields.values()
    )


def _default_text(default: object) -> str:
    if default is None or default is PydanticUndefined or default == ():
        return ""
    if isinstance(default, bool):
        return "true" if default else "false"
    return str(default)
