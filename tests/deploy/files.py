"""The files of deploy/, read as the programs read them that they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pds.config.env_file import read_env_file

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
STACKS: Final = ("pds", "pds-s3", "hold", "readonly")
COMPOSE_FILES: Final = [
    DEPLOY / "common.yaml",
    *(DEPLOY / name / "compose.yaml" for name in STACKS),
]
SECRET: Final = "5" * 64
"""What the tests write where an example leaves a secret out."""

_MADE_BY_A_HOLD: Final = (
    "PDS_JWT_SECRET",
    "PDS_ADMIN_PASSWORD",
    "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
)
"""What a hold makes at its first start and keeps with its data."""
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def read_yaml(path: Path) -> Any:
    """The contents of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def examples_of(stack: str) -> list[Path]:
    """The example files that make the settings of a stack together."""
    names = ("pds", "pds-s3") if stack == "pds-s3" else (stack,)
    return [DEPLOY / name / "example.env" for name in names]


def example_settings(stack: str) -> dict[str, str]:
    """The variables of an example, with secrets where it leaves them out."""
    found = dict.fromkeys(_MADE_BY_A_HOLD, SECRET) if stack == "hold" else {}
    for path in examples_of(stack):
        found |= read_env_file(path)
    return {
        name: value.replace("did:plc:…", "did:plc:ewvi7nxzyoun6zhxrhs64oiz") or SECRET
        for name, value in found.items()
    }


def offered_by(path: Path) -> set[str]:
    """The names of the variables that an example sets, or would without the `#` before them."""
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", path.read_text(encoding="utf-8"), re.MULTILINE))


def variables_in(text: str) -> set[str]:
    """The names of the variables that Compose replaces in a file."""
    return {match[1] for match in _VARIABLE.finditer(text)}


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Text of a compose file with its variables replaced. Raises `KeyError` for a missing one."""

    def value(match: re.Match[str]) -> str:
        name, kind, default = match.groups()
        if variables.get(name):
            return variables[name]
        if kind == "-":
            return str(default)
        raise KeyError(name)

    return _VARIABLE.sub(value, text)


def services_of(stack: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every service of a stack, with what it takes from the file that it extends."""
    directory = DEPLOY / stack
    for name, own in _services(directory / "compose.yaml", stack).items():
        extends = own.pop("extends", None)
        if extends is None:
            yield name, own
            continue
        base = _services(directory / extends["file"], stack)[extends["service"]]
        yield name, _merged(base, own)


def _services(path: Path, stack: str) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = _filled_in(
        read_yaml(path)["services"], example_settings(stack)
    )
    return services


def _filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled_in(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, variables) for item in value]
    return interpolated(value, variables) if isinstance(value, str) else value


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Compose's rule: mappings are merged, lists are put together, the rest is replaced."""
    merged = {**base, **own}
    for key in base.keys() & own.keys():
        if isinstance(base[key], dict):
            merged[key] = base[key] | own[key]
        elif isinstance(base[key], list):
            merged[key] = base[key] + own[key]
    return merged
