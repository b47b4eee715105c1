"""`pds car inspect`: what a CAR contains."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

from pds.car.blob_refs import Share
from pds.car.repo_file import RepoFile
from pds.car.summary import Summary, summarize
from pds.cli.car.failures import explained
from pds.cli.car.files import file_argument, opened_repo, write_lines, write_stdout
from pds.cli.car.keys import find_public_key, public_key_options
from pds.cli.progress import progress_bars
from pds.reporting import counted
from repo.tid import decode_tid

if TYPE_CHECKING:
    from repo.keys import PublicKey


@click.command()
@file_argument()
@public_key_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@explained()
def inspect(file: str, key: PublicKey | None, plc_url: str | None, as_json: bool) -> None:
    """Show what a CAR contains.

    Whose repository it is and as of when; its records by collection, its blocks, and the blobs that
    records refer to. Hashes and the tree are checked on the way, but `verify` checks more.

    \b
    Examples:
      pds car inspect alice.car
      pds car inspect alice.car --plc https://plc.directory
      pds car inspect - --json < alice.car | jq .collections
    """
    with opened_repo(file) as repo, progress_bars() as progress:
        key = find_public_key(repo.root, repo.commit, key=key, plc_url=plc_url)
        report = _report(repo, summarize(repo, progress), key)
    if as_json:
        write_stdout([orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])
    else:
        write_lines(_lines(report))


def _report(repo: RepoFile, summary: Summary, key: PublicKey | None) -> dict[str, Any]:
    commit = repo.commit
    return {
        "did": commit.did,
        "rev": commit.rev,
        "roots": [str(repo.root)],
        "data": str(commit.data),
        "signature": key and {"key": key.did_key, "valid": commit.verify(key)},
        "bytes": repo.size_bytes,
        "blocks": {
            "count": len(repo.blocks),
            "repeated": repo.blocks.repeated,
            "nodes": _share(summary.nodes),
            "unused": _share(summary.unused),
        },
        "records": _share(summary.records),
        "collections": {name: _share(share) for name, share in summary.collections.items()},
        "blobs": _share(summary.blobs),
    }


def _share(share: Share) -> dict[str, int]:
    return {"count": share.count, "bytes": share.size_bytes}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    blocks = report["blocks"]
    unused = blocks["unused"]
    at = datetime.fromtimestamp(decode_tid(report["rev"])[0] / 1_000_000, UTC)
    yield f"did         {report['did']}"
    yield f"rev         {report['rev']}  ({at:%Y-%m-%d %H:%M:%S} UTC)"
    yield f"root        {', '.join(report['roots'])}"
    yield f"data        {report['data']}"
    yield f"signature   {_signature(report['signature'])}"
    yield f"file        {report['bytes']:,} bytes, {blocks['count']:,} blocks"
    yield f"tree        {_counted(blocks['nodes'], 'node')}"
    yield f"records     {_counted(report['records'], 'record')}"
    yield f"blobs       {_counted(report['blobs'], 'blob')}, as the records claim"
    if unused["count"]:
        yield f"unused      {_counted(unused, 'block')}"
    if blocks["repeated"]:
        yield f"repeated    {counted(blocks['repeated'], 'block')}"
    collections = report["collections"]
    if collections:
        yield ""
        width = max(len("collection"), *map(len, collections))
        yield f"{'collection':{width}} {'records':>12} {'bytes':>16}"
        for name, share in collections.items():
            yield f"{name:{width}} {share['count']:>12,} {share['bytes']:>16,}"


def _counted(share: dict[str, int], noun: str) -> str:
    return f"{counted(share['count'], noun)} of {share['bytes']:,} bytes"


def _signature(signature: dict[str, Any] | None) -> str:
    if signature is None:
        return "not checked (give --key or --plc)"
    return f"{'by' if signature['valid'] else 'NOT by'} {signature['key']}"
