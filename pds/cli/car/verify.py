"""`pds car verify`: whether CARs are sound."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pds.car.errors import CarToolError
from pds.car.repo_file import RepoFile
from pds.car.verification import Verdict
from pds.car.verification import verify as check
from pds.cli.car.failures import DAMAGED, explained
from pds.cli.car.files import open_repo, write_json_lines, write_lines
from pds.cli.car.keys import find_public_key, public_key_options
from pds.cli.progress import progress_bars
from pds.reporting import counted

if TYPE_CHECKING:
    from repo.keys import PublicKey


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@public_key_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per file.")
@explained()
def verify(
    files: tuple[str, ...], key: PublicKey | None, plc_url: str | None, as_json: bool
) -> None:
    """Check everything in CARs.

    Every block hashes to its CID; there is one root, a commit of version 3; the tree has the one
    shape that its keys determine; keys are well formed; every record is there. With --key or --plc,
    the signature is checked, too. Records that no client may write, with a float for example, are
    reported: such a file is intact, but not sound. Unused blocks are reported, too, but are
    harmless. The exit status is 0 if all files are intact, otherwise 1.

    \b
    Examples:
      pds car verify alice.car
      pds car verify alice.car --key did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme
      pds car verify archive/*.car --plc https://plc.directory --json
    """
    all_intact = True
    for file in files:
        report = _examine(file, key=key, plc_url=plc_url)
        all_intact &= report["intact"]
        if as_json:
            write_json_lines([report])
        else:
            write_lines(_lines(file, report))
    sys.exit(0 if all_intact else 1)


def _examine(file: str, *, key: PublicKey | None, plc_url: str | None) -> dict[str, Any]:
    """Return the report on one file."""
    try:
        with progress_bars() as progress, open_repo(file, progress) as repo:
            key = find_public_key(repo.root, repo.commit, key=key, plc_url=plc_url)
            return _report(file, repo, check(repo, key=key, progress=progress))
    except (*DAMAGED, CarToolError) as exc:
        return _no_verdict(file, str(exc))
    except OSError as exc:
        return _no_verdict(file, exc.strerror or str(exc))


def _no_verdict(file: str, reason: str) -> dict[str, Any]:
    return {
        "file": file,
        "intact": False,
        "sound": False,
        "faults": [reason],
        "faultCount": 1,
        "odd": [],
        "oddCount": 0,
        "notes": [],
    }


def _report(file: str, repo: RepoFile, verdict: Verdict) -> dict[str, Any]:
    return {
        "file": file,
        "intact": verdict.is_intact,
        "sound": verdict.is_sound,
        "did": repo.commit.did,
        "rev": repo.commit.rev,
        "root": str(repo.root),
        "signed": verdict.is_signed,
        "records": verdict.records,
        "nodes": verdict.nodes,
        "faults": verdict.faults,
        "faultCount": verdict.fault_count,
        "odd": verdict.odd.examples,
        "oddCount": verdict.odd.count,
        "notes": verdict.notes,
    }


def _lines(file: str, report: dict[str, Any]) -> list[str]:
    lines = [f"{file}: {fault}" for fault in report["faults"]]
    untold = report["faultCount"] - len(report["faults"])
    if untold:
        lines.append(f"{file}: and {counted(untold, 'fault')} more")
    lines += [f"{file}: {odd}" for odd in report["odd"]]
    untold = report["oddCount"] - len(report["odd"])
    if untold:
        lines.append(f"{file}: and {counted(untold, 'odd record')} more")
    if report["intact"]:
        state = "sound" if report["sound"] else "intact"
        signature = "signed by the key" if report["signed"] else "signature not checked"
        lines.append(
            f"{file}: {state}, {counted(report['records'], 'record')} of {report['did']}, "
            f"rev {report['rev']}, {signature}"
        )
    return [*lines, *(f"{file}: note: {note}" for note in report["notes"])]
