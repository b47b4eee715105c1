"""A crash at any step of a completion: no completed blob is lost, nothing stays for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from pds.hold.oci.sweep import KEPT_S
from pds.hold.oci.upload_rows import UploadState
from tests.pds.hold.oci.kit import ALICE, MIB, Kit, sha256

LARGE: Final = bytes(5 * MIB)
DIGEST: Final = sha256(LARGE + b"end")


class Crash(BaseException):
    """The end of the process, as far as the code in it can tell."""


def crash_before(_original: Callable[..., Any]) -> Callable[..., Any]:
    async def crash(*_args: Any, **_more: Any) -> None:
        raise Crash

    return crash


def crash_after(original: Callable[..., Any]) -> Callable[..., Any]:
    async def crash(*args: Any, **more: Any) -> None:
        await original(*args, **more)
        raise Crash

    return crash


POINTS: Final = (
    ("storage", "join", crash_before),
    ("storage", "join", crash_after),
    ("rows", "set_joined", crash_after),
    ("storage", "measure", crash_before),
    ("storage", "measure", crash_after),
    ("storage", "keep", crash_before),
    ("storage", "keep", crash_after),
    ("rows", "set_completed", crash_after),
    ("storage", "discard", crash_after),
)


async def crash(kit: Kit, part: str, step: str, kind: Callable[..., Any]) -> tuple[str, list[Any]]:
    """Upload a blob, and let the process end at a step of its completion; start again."""
    upload_id, parts = await kit.upload([LARGE, b"end"])
    owner = getattr(kit, part)
    setattr(owner, step, kind(getattr(owner, step)))
    with pytest.raises(Crash):
        await kit.uploads.complete(upload_id, ALICE, DIGEST, parts)
    await kit.restart()
    return upload_id, parts


@pytest.mark.parametrize(("part", "step", "kind"), POINTS)
async def test_the_client_repeats_its_completion(
    kit: Kit, part: str, step: str, kind: Callable[..., Any]
) -> None:
    upload_id, parts = await crash(kit, part, step, kind)
    await kit.uploads.complete(upload_id, ALICE, DIGEST, parts)
    assert await kit.read(DIGEST) == LARGE + b"end"
    assert await kit.stored() == [DIGEST]
    kit.clock.now_s += KEPT_S + 1
    await kit.sweep.sweep()
    assert await kit.leftovers() == 0
    assert await kit.stored() == [DIGEST]


@pytest.mark.parametrize(("part", "step", "kind"), POINTS)
async def test_a_client_that_never_comes_back_leaves_nothing_unfinished(
    kit: Kit, part: str, step: str, kind: Callable[..., Any]
) -> None:
    upload_id, _parts = await crash(kit, part, step, kind)
    upload = kit.rows.find(upload_id)
    assert upload is not None
    joined = upload.state is not UploadState.OPEN
    kit.finisher.resume()
    await kit.finisher.wait(DIGEST, seconds=30)
    kit.clock.now_s += KEPT_S + 1
    await kit.sweep.sweep()
    assert await kit.stored() == ([DIGEST] if joined else [])
    assert await kit.leftovers() == 0
    assert not kit.rows.exists(upload_id)


async def test_a_crash_while_the_bytes_are_read_is_made_good(s3_kit: Kit) -> None:
    upload_id, _parts = await crash(s3_kit, "storage", "measure", crash_before)
    assert await s3_kit.stored() == []
    s3_kit.finisher.resume()
    await s3_kit.finisher.wait(DIGEST, seconds=30)
    assert await s3_kit.read(DIGEST) == LARGE + b"end"
    upload = s3_kit.rows.find(upload_id)
    assert upload is not None
    assert upload.state is UploadState.COMPLETED


async def test_an_upload_that_only_the_store_knows_is_swept(kit: Kit) -> None:
    kit.rows.set_storage_id = crash_before(kit.rows.set_storage_id)  # type: ignore[method-assign]
    with pytest.raises(Crash):
        await kit.uploads.begin(ALICE)
    kit.db.run("DELETE FROM upload")
    await kit.restart()
    assert await kit.leftovers() == 1
    kit.clock.now_s += 10 * 365 * KEPT_S
    await kit.sweep.sweep()
    assert await kit.leftovers() == 0
