"""Settings that do nothing yet: all of them are listed, and those that are set are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pds.config import Settings, find_without_effect, read_settings
from pds.config.environ import groups_of, variable_of
from pds.config.without_effect import WITHOUT_EFFECT
from tests.documented_settings import documented_settings
from tests.pds.config.test_settings import WORKING

ROOT = Path(__file__).resolve().parents[3]
LISTED = {variable for variables in WITHOUT_EFFECT.values() for variable in variables}


def test_the_document_lists_the_same_settings_by_feature() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    table = text.split("\n## What is read and has no effect yet\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("|")][2:]
    documented = {
        feature.strip(): tuple(re.findall(r"`(\w+)`", names)) for _, feature, names, *_ in rows
    }
    assert documented == WITHOUT_EFFECT


def test_settings_that_are_not_listed_are_used() -> None:
    code = "\n".join(
        path.read_text() for path in (ROOT / "pds").rglob("*.py") if "config" not in path.parts
    )
    derived = (ROOT / "pds" / "config" / "settings.py").read_text()
    unused = [
        variable_of(field)
        for group, model in groups_of(Settings).items()
        for name, field in model.model_fields.items()
        if not re.search(rf"\b{group}\.{name}\b", code)
        and not re.search(rf"\bself\.{group}\.{name}\b", derived)
    ]
    assert set(unused) <= LISTED


def test_every_listed_setting_exists() -> None:
    assert {setting.name for setting in documented_settings()} >= LISTED


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, []),
        ({"PDS_PROXY_ALLOW_HTTP2": ""}, []),
        ({"PDS_PROXY_ALLOW_HTTP2": "true"}, ["PDS_PROXY_ALLOW_HTTP2"]),
        ({"PDS_PROXY_ALLOW_HTTP2": "false", "PDS_INVITE_EPOCH": "0"}, []),
        ({"PDS_BLOB_UPLOAD_LIMIT": "104857600", "LOG_ENABLED": "false"}, []),
    ],
)
def test_only_what_was_set_to_something_else_is_told(
    environ: dict[str, str], told: list[str]
) -> None:
    assert find_without_effect(read_settings(WORKING | environ)) == told
