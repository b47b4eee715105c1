"""`pds car ls`: the records of a CAR, or the blobs that they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import click

from pds.car.repo_file import RepoFile, record_block
from pds.cli.car.failures import explained
from pds.cli.car.files import file_argument, opened_repo, write_json_lines, write_lines
from repo.syntax import parse_nsid

_Line: TypeAlias = tuple[dict[str, Any], str]
"""One line: fields for programs, text for people."""


@click.command()
@file_argument()
@click.argument("collection", required=False)
@click.option("--blobs", is_flag=True, help="List the CIDs of blobs instead, each once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@explained()
def ls(file: str, collection: str | None, blobs: bool, as_json: bool) -> None:
    """List records, or the blobs they refer to.

    A line has the key of a record, COLLECTION/RKEY, and its CID; lines are sorted by key. Without
    COLLECTION, all records are listed.

    \b
    Examples:
      pds car ls alice.car
      pds car ls alice.car app.bsky.feed.post --json
      pds car ls alice.car --blobs
      curl -s https://pds.example/alice.car | pds car ls - | wc -l
    """
    if collection is not None:
        parse_nsid(collection)
    with opened_repo(file) as repo:
        lines = _blobs(repo, collection) if blobs else _records(repo, collection)
        if as_json:
            write_json_lines(fields for fields, _ in lines)
        else:
            write_lines(text for _, text in lines)


def _records(repo: RepoFile, collection: str | None) -> Iterator[_Line]:
    for record in repo.iter_records(collection):
        name, _, rkey = record.key.partition("/")
        fields = {"collection": name, "rkey": rkey, "cid": str(record.cid)}
        yield fields, f"{record.key} {record.cid}"


def _blobs(repo: RepoFile, collection: str | None) -> Iterator[_Line]:
    from pds.car.blob_refs import UNKNOWN_SIZE, BlobRefs

    with BlobRefs() as refs:
        for record in repo.iter_records(collection):
            refs.add(record, record_block(record, repo.blocks))
        for ref in refs:
            claimed = {"mimeType": ref.mime_type, "size": ref.size}
            known = {} if ref.size == UNKNOWN_SIZE else claimed
            yield {"cid": str(ref.cid), **known}, str(ref.cid)
