"""The settings in groups, one file for each subject.

Each field names its environment variable by its alias. A default of None or "" is either no
value at all or one that `Settings` derives from other settings.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A group of settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="ignore")
