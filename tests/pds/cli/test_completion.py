"""Completion in a shell, by click's own script: also of groups that are loaded when they run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import clean_environment

BASH = shutil.which("bash")
_COMPLETE = r"""
source <(_PDS_COMPLETE=bash_source pds)
COMP_WORDS=(%s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_pds_completion pds
printf '%%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pds acc", ["account"]),
        ("pds re", ["readonly", "record", "replicate", "request-crawl", "restore"]),
        ("pds account un", ["untakedown"]),
        ("pds record ''", ["takedown", "untakedown"]),
        ("pds account show --js", ["--json"]),
        ("pds readonly --verify o", ["offline"]),
        ("pds serve --env", ["--env-file"]),
        ("pds frobnicate x", [""]),
    ],
)
def test_bash_completes_commands_options_and_choices(words: str, expected: list[str]) -> None:
    assert BASH is not None
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603
        [BASH, "-c", _COMPLETE % words],
        env=clean_environment({"PATH": path}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    program = Path(sys.executable).with_name("pds")
    done = subprocess.run(  # noqa: S603
        [program],
        env=clean_environment({"_PDS_COMPLETE": f"{shell}_source"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "_PDS_COMPLETE" in done.stdout


def test_completing_imports_no_command() -> None:
    # Half a second of imports would otherwise stand between two key strokes.
    program = (
        "import sys\n"
        "from pds.cli import main\n"
        "try:\n"
        "    main(prog_name='pds')\n"
        "finally:\n"
        "    print({'aiohttp', 'apsw', 'pydantic', 'rich'} & set(sys.modules))\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        env=clean_environment(
            {"_PDS_COMPLETE": "bash_complete", "COMP_WORDS": "pds account ", "COMP_CWORD": "2"}
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "set()"
    assert "plain,takedown" in done.stdout
