"""Settings of the reference PDS that are read and checked but have no effect yet.

The table of the same name in docs/configuration.md explains the consequences for operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pds.config.environ import groups_of, variable_of
from pds.config.settings import Settings

WITHOUT_EFFECT: Final[Mapping[str, tuple[str, ...]]] = {
    "HTTP/2 to other services": ("PDS_PROXY_ALLOW_HTTP2",),
    "Rotation key in AWS KMS": ("PDS_PLC_ROTATION_KEY_KMS_KEY_ID",),
}
"""The variables of each missing feature."""


def find_without_effect(settings: Settings) -> list[str]:
    """Return the variables without effect that the operator has set to other than the default."""
    inert = {variable for variables in WITHOUT_EFFECT.values() for variable in variables}
    return [
        variable_of(field)
        for group_name, group in groups_of(Settings).items()
        for name, field in group.model_fields.items()
        if variable_of(field) in inert
        and getattr(getattr(settings, group_name), name) != field.default
    ]
