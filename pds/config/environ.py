"""Reading settings from environment variables, by the parsing rules of the reference PDS.

An empty variable counts as unset. Lists are separated by commas, and their items are not trimmed.
An invalid integer or boolean is a problem: the reference PDS would read `no` as the default and
`100MB` as 100, which is never what the operator meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

_WANTED: Final = {
    int: "a whole number in digits, without a unit",
    bool: "true or false",
}

_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def parse_variable(raw: str, kind: type) -> str | int | bool | tuple[str, ...] | None:
    """Parse one variable as `kind` (str, int, bool or tuple); None means that it is unset.

    Also returns None for an invalid value, which `find_unreadable` reports.
    """
    if not raw:
        return None
    if kind is bool:
        return _BOOLEANS.get(raw)
    if kind is int:
        return int(raw) if _INTEGER.fullmatch(raw) else None
    if kind is tuple:
        return tuple(item for item in raw.split(",") if item) or None
    return raw


def find_unreadable(environ: Mapping[str, str], settings: type[BaseSettings]) -> Iterator[str]:
    """Yield a message for each variable of `settings` with an invalid value."""
    for field in fields_of(settings):
        variable, kind = variable_of(field), kind_of(field)
        raw = environ.get(variable, "")
        if raw.strip() and parse_variable(raw, kind) is None and kind in _WANTED:
            yield f'{variable} is "{raw}": set {_WANTED[kind]}, or unset it'


def fields_of(settings: type[BaseSettings]) -> Iterator[FieldInfo]:
    """Iterate over every setting of every group."""
    for group in groups_of(settings).values():
        yield from group.model_fields.values()


def kind_of(field: FieldInfo) -> type:
    """Return the type of a setting: str, int, bool or tuple."""
    annotation: Any = field.annotation
    if isinstance(annotation, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    kind: type = get_origin(annotation) or annotation
    return kind


def variable_of(field: FieldInfo) -> str:
    """Return the name of the environment variable that sets a field."""
    if field.alias is None:
        raise TypeError("a setting without the alias that names its variable")
    return field.alias


def groups_of(settings: type[BaseSettings]) -> dict[str, type[BaseModel]]:
    """Return the groups of a settings class, by attribute name."""
    groups: dict[str, type[BaseModel]] = {}
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            groups[name] = field.annotation
    return groups


class EnvironSource(PydanticBaseSettingsSource):
    """The source of settings: one mapping of environment variables."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the values of the group in `field`, keyed by variable."""
        group = field.annotation
        values: dict[str, Any] = {}
        if isinstance(group, type) and issubclass(group, BaseModel):
            for setting in group.model_fields.values():
                variable = variable_of(setting)
                value = parse_variable(self._environ.get(variable, ""), kind_of(setting))
                if value is not None:
                    values[variable] = value
        return values, field_name, False

    def __call__(self) -> dict[str, Any]:
        return {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
