"""Documents: what they name exists, and what exists is named where it must be."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import pytest

from pds import DISTRIBUTION
from pds.cli import main
from pds.config.env_file import VARIABLE as ENV_FILE_VARIABLE
from pds.config.environ import groups_of, variable_of
from pds.config.settings import Settings
from tests.documented_settings import DocumentedSetting, documented_settings
from tests.endpoints import all_methods, hold_methods, start_of_row
from tests.processes import DevServer

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
DEVELOP = ROOT / "docs" / "develop.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
ENDPOINTS = ROOT / "docs" / "endpoints.md"
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    BENCHMARKS,
]
CONFIG_FILES = [
    ROOT / "Dockerfile",
    *(path for path in sorted(ROOT.glob("deploy/**/*")) if path.is_file()),
]

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def fences(text: str, language: str = r"\w*") -> list[str]:
    """The contents of code blocks."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code_lines(text: str) -> Iterator[str]:
    """Every line of a code block, and every piece of code in a sentence."""
    for block in fences(text):
        yield from block.splitlines()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", prose):
        yield " ".join(code.split())


def section(text: str, heading: str) -> str:
    """The part of a document below a heading, up to the next of its level."""
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.split("\n## ")[0]


def project() -> dict[str, Any]:
    return tomllib.loads(read(ROOT / "pyproject.toml"))


# Settings


def table_row(setting: DocumentedSetting) -> str:
    default = f"`{setting.default}`" if setting.default else ""
    description = setting.description.replace("<", "\\<").replace("|", "\\|")
    return f"| `{setting.name}` | {setting.type} | {default} | {description} |"


def test_every_setting_is_in_the_tables_and_nothing_else() -> None:
    tables = section(read(CONFIGURATION), "Every setting")
    rows = [line for line in tables.splitlines() if line.startswith("| `")]
    assert rows == [table_row(setting) for setting in documented_settings()]


def test_the_tables_have_the_groups_of_the_code() -> None:
    tables = section(read(CONFIGURATION), "Every setting")
    headings = re.findall(r"^### (\w+)\n\n(.+)$", tables, re.MULTILINE)
    groups = groups_of(Settings).items()
    assert headings == [(name.capitalize(), group.__doc__) for name, group in groups]


@pytest.mark.parametrize("document", [*DOCUMENTS, *CONFIG_FILES], ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"\b(?:PDS|LOG)_[A-Z0-9_]*[A-Z0-9]\b", read(document)))
    assert named <= {setting.name for setting in documented_settings()} | {ENV_FILE_VARIABLE}


def test_settings_said_to_have_no_effect_are_used_nowhere() -> None:
    listed = section(read(CONFIGURATION), "What is read and has no effect yet")
    without_effect = set(re.findall(r"`((?:PDS|LOG)_\w+)`", listed))
    code = "\n".join(
        read(path)
        for path in (ROOT / "pds").rglob("*.py")
        # Checking a setting is no use of it.
        if not {"config", "doctor"} & set(path.parts)
    )
    used = {
        variable_of(field)
        for group, model in groups_of(Settings).items()
        for name, field in model.model_fields.items()
        if re.search(rf"\b{group}\.{name}\b", code)
    }
    assert without_effect & used == set()


# Commands, targets, files


def commands_in(text: str) -> Iterator[list[str]]:
    for line in code_lines(text):
        for words in re.findall(r"(?:^|/bin/)pds((?: [^\s|>#]+)+)", line):
            yield words.split()


@each_document
def test_every_pds_command_that_is_named_exists(document: Path) -> None:
    for words in commands_in(read(document)):
        check_command(words)


def check_command(words: list[str]) -> None:
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, words
        command = found
        rest.pop(0)
    known = {option for param in command.params for option in param.opts} | {"--help", "-h"}
    used = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert used <= known, words


def test_every_command_that_a_message_names_exists() -> None:
    named = [words for path in sorted((ROOT / "pds").rglob("*.py")) for words in told_by(path)]
    assert ["pds", "account", "activate", "VALUE"] in named
    for program, *words in named:
        if program == "pds":
            check_command(words)


def told_by(path: Path) -> Iterator[list[str]]:
    """The commands between backticks in the strings of a module, values that it puts in as VALUE.

    Those of other programs than `pds` stand where their tests type them: see `tests/typed.py`.
    """
    for node in ast.walk(ast.parse(read(path))):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(
            str(part.value) if isinstance(part, ast.Constant) else "VALUE"
            for part in parts
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )
        for command in re.findall(r"`((?:pds|litestream|install|chown|chmod) [^`]+)`", text):
            yield command.split()
            assert command.startswith("pds ") or path.name == "remedies.py", command


@each_document
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = {
        match[1] for line in code_lines(read(document)) if (match := re.match(r"make (\w+)", line))
    }
    assert named <= targets


@each_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    paths = {
        word.partition("::")[0]
        for line in code_lines(read(document))
        for word in line.split()
        if re.fullmatch(r"[a-z_]+(?:/[\w-]+)*/\w+\.py(?:::\w+)?", word)
    }
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []


@each_document
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(document)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(read(linked)), target


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Architecture


def test_the_architecture_fits_on_a_few_screens() -> None:
    assert len(read(ARCHITECTURE).splitlines()) < 200


def test_every_invariant_is_held_by_a_test_that_exists() -> None:
    rows = re.findall(r"^\| \d+ \|.*$", section(read(ARCHITECTURE), "Invariants"), re.MULTILINE)
    assert rows
    for row in rows:
        held_by = re.search(r"`(tests/\S+\.py)::(test_\w+)`", row)
        assert held_by, row
        assert held_by[2] in functions_of(ROOT / held_by[1]), row


def functions_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_dependency_has_its_reason() -> None:
    table = section(read(ARCHITECTURE), "Dependencies")
    rows = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \| \S.* \|$", table, re.MULTILINE)
    explained = [name for names in rows for name in re.findall(r"`([\w-]+)`", names)]
    config = project()["project"]
    extras = config["optional-dependencies"].values()
    wanted = [*config["dependencies"], *(item for extra in extras for item in extra)]
    assert sorted(explained) == sorted({re.split(r"[><=~!\[]", item)[0] for item in wanted})


# Endpoints


def test_every_method_is_in_the_tables_of_endpoints_with_its_tests() -> None:
    rows = [line for line in read(ENDPOINTS).splitlines() if line.startswith("| `")]
    methods = [*all_methods(), *hold_methods()]
    assert len(rows) == len(methods), "run `make endpoints`"
    for row, method in zip(rows, methods, strict=True):
        assert row.startswith(f"{start_of_row(method)} ["), "run `make endpoints`"


# Installing


def test_the_version_is_found_by_the_name_of_the_distribution() -> None:
    config = project()["project"]
    assert config["name"] == DISTRIBUTION
    assert metadata.version(DISTRIBUTION) == config["version"]


def test_the_changelog_has_the_version_of_the_project_as_its_newest() -> None:
    headings = re.findall(r"^## (.+)$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    version, date = headings[1].split(" - ")
    assert version == project()["project"]["version"]
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", date)


def test_the_image_gets_every_package() -> None:
    prefixes = tuple(
        item.removesuffix("*")
        for item in project()["tool"]["setuptools"]["packages"]["find"]["include"]
    )
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    installed = {name for name in packages if name.startswith(prefixes)}
    copied = re.findall(r"^COPY (\w+) \1$", read(ROOT / "Dockerfile"), re.MULTILINE)
    let_in = re.findall(r"^!(\w+)$", read(ROOT / ".dockerignore"), re.MULTILINE)
    assert installed == set(copied)
    assert installed <= set(let_in)


def test_every_file_of_a_package_is_installed_with_it() -> None:
    patterns = project()["tool"]["setuptools"]["package-data"]["*"]
    for name in re.findall(r"^COPY (\w+) \1$", read(ROOT / "Dockerfile"), re.MULTILINE):
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert any(path.match(pattern) for pattern in patterns), path
                assert (path.parent / "__init__.py").is_file(), path


# What a newcomer reads first


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_first_post_and_the_first_like_work_as_printed(tmp_path: Path) -> None:
    (by_curl,) = fences(section(read(README), "For app developers"), "sh")
    (by_sdk,) = fences(section(read(DEVELOP), "The Python SDK"), "python")
    server = DevServer.start(tmp_path / "data")
    try:
        printed = run("bash", "-euc", at_port(by_curl, server), cwd=tmp_path)
        assert '"text":"Hello from Holdfast"' in printed
        # The SDK imports modules whose deprecations are not ours to mend.
        printed = run(sys.executable, "-W", "ignore", "-c", at_port(by_sdk, server), cwd=tmp_path)
        assert printed.splitlines()[-2:] == ["Hello from Python", "Hello from Holdfast"]
        (likes,) = fences(section(read(DEVELOP), "SDK tutorials without an AppView"), "python")
        printed = run(sys.executable, "-W", "ignore", "-c", at_port(likes, server), cwd=tmp_path)
        assert [uri.split("/")[3] for uri in printed.splitlines()] == [
            "app.bsky.feed.like",
            "app.bsky.graph.follow",
        ]
    finally:
        server.stop()


QUOTED = {
    "`repo.getRecord`, requests/s": "repo.getRecord, records at random",
    "`repo.createRecord`, requests/s": "repo.createRecord, one account, of 10,000",
    "`sync.getRepo`, MB/s": "sync.getRepo, ",
    "import of 100,000 records, s": "s for importRepo of a CAR of 100,000 records",
    "memory after the run, MiB": "MiB resident after the run",
}
"""Rows of the README, and how the rows of the benchmark begin that they are taken from."""


def test_the_figures_of_the_readme_are_those_of_the_benchmark() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([\d.,]+) \| ([\d.,]+) \|$", read(README), re.MULTILINE)
    assert {row[0] for row in rows} == QUOTED.keys()
    for name, *figures in rows:
        (measured,) = re.findall(
            rf"^\| {re.escape(QUOTED[name])}.*$", read(BENCHMARKS), re.MULTILINE
        )
        cells = [
            number(cell) for cell in measured.split("|") if re.fullmatch(r"\s*[\d.,]+\s*", cell)
        ]
        # Where there are percentiles, two of them stand between the two servers.
        expected = [cells[0], cells[3 if len(cells) > 2 else 1]]
        assert [number(figure) for figure in figures] == pytest.approx(expected, rel=0.1), name


def number(text: str) -> float:
    return float(text.replace(",", ""))


def at_port(code: str, server: DevServer) -> str:
    assert "http://localhost:2583" in code
    return code.replace("http://localhost:2583", server.url)


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(  # noqa: S603 (the code of our own README)
        command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
