"""Environment files: `NAME=value` lines, as the reference PDS's `pds.env`."""

from __future__ import annotations

from pathlib import Path

from pds.config.errors import ConfigError


def read_env_file(path: Path) -> dict[str, str]:
    """Read the variables; blank lines and comments are skipped, quotes are taken off.

    Raises `ConfigError` for a file that is not text, `OSError` for one that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path} is not a text file in UTF-8"]) from exc
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    return values
