"""`pds car get`: one record of a CAR."""

from __future__ import annotations

import click

from pds.car.errors import CarToolError
from pds.car.record_files import json_text
from pds.car.repo_file import record_block
from pds.cli.car.failures import explained
from pds.cli.car.files import binary_stdout, file_argument, opened_repo, write_stdout
from repo.odd_record import read_kept
from repo.record import InvalidRecord
from repo.verify import split_key


@click.command()
@file_argument()
@click.argument("key", metavar="COLLECTION/RKEY")
@click.option("--raw", is_flag=True, help="Write the block unchanged, in DAG-CBOR.")
@explained()
def get(file: str, key: str, raw: bool) -> None:
    """Print one record.

    The output is JSON, in which links are {"$link": CID} and bytes {"$bytes": BASE64}. An odd
    record is shown as far as JSON can represent it; --raw writes it unchanged.

    \b
    Examples:
      pds car get alice.car app.bsky.actor.profile/self
      pds car get alice.car app.bsky.feed.post/3jzfcijpj2z2a --raw > post.cbor
    """
    split_key(key)
    if raw:
        binary_stdout()
    with opened_repo(file) as repo:
        record = repo.find(key)
        if record is None:
            raise CarToolError(f"{file} has no record {key}. `pds car ls` lists what it has.")
        block = record_block(record, repo.blocks)
        write_stdout([block if raw else _json_of(key, block)])


def _json_of(key: str, block: bytes) -> bytes:
    try:
        return json_text(read_kept(block))
    except (InvalidRecord, TypeError) as exc:
        raise CarToolError(f"{key} cannot be shown as JSON: {exc}. --raw writes it.") from exc
