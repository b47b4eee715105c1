"""Which files of a replica give a state of a database.

As Litestream does: from the newest file on that has the whole database, always the file that
reaches furthest among those that leave no gap, of whatever level. No other choice of files reaches
further. (Litestream begins with the newest snapshot, even if a merged file has the whole database,
too, and reaches further.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pds.replication.ltx.names import SNAPSHOT_LEVEL, LtxFile


@dataclass(slots=True, frozen=True)
class Plan:
    """Files to apply, in this order."""

    files: tuple[LtxFile, ...]
    starts_anew: bool
    """Whether the first file has the whole database, so that nothing is needed before it."""
    last: int
    """The transaction that the database is at afterwards."""
    missing: tuple[int, int] | None
    """The first and last transaction that the replica knows of and that these files do not give,
    because files are damaged or gone. None, as a rule."""


def plan_restore(
    files: Iterable[LtxFile],
    *,
    before_ms: int | None = None,
    damaged: Collection[str] = (),
    complete: Collection[str] = (),
) -> Plan | None:
    """Return how to restore a database from its files, or None if none of them can begin.

    The newest state by default; with `before_ms` nothing of that time or later (see
    `unclear_times`). `damaged` are the paths of files to do without, `complete` those of increments
    that are known to have every page (see `reading.is_complete`): where a damaged file leaves a
    gap, a restore can begin anew with them.
    """
    wanted = [file for file in files if before_ms is None or file.time_ms < before_ms]
    usable = [file for file in wanted if file.path not in damaged]
    bases = [
        file
        for file in usable
        if file.name.first == 1 or file.name.level == SNAPSHOT_LEVEL or file.path in complete
    ]
    if not bases:
        return None
    # A chain from here reaches at least as far as one from an older base: whatever leads an older
    # one past this point leaves no gap here either.
    base = max(bases, key=lambda file: (file.name.last, file.name.level, -file.name.first))
    chain = [base, *_chain(usable, base.name.last)]
    return _plan(chain, wanted, chain[-1].name.last, starts_anew=True)


def plan_continuation(
    files: Collection[LtxFile], after: int, *, damaged: Collection[str] = ()
) -> Plan | None:
    """Return how to bring a database that is at transaction `after` to the newest state.

    That takes a new start where files of increments are gone or damaged and a snapshot reaches
    further: see `Plan.starts_anew`. The plan has no files if there is nothing new. None if the
    replica neither continues nor can begin, or is older than the database.
    """
    newest = max((file.name.last for file in files), default=0)
    if newest < after:
        return None
    usable = [file for file in files if file.path not in damaged]
    chain = _chain(usable, after)
    last = chain[-1].name.last if chain else after
    if last < newest:
        anew = plan_restore(files, damaged=damaged)
        if anew is not None and anew.last > last:
            return anew
    return _plan(chain, files, last, starts_anew=False)


def unclear_times(files: Iterable[LtxFile], before_ms: int) -> list[LtxFile]:
    """Return the files whose headers decide whether they belong to a state before `before_ms`.

    A bucket, or a directory that was copied, tells when a file was written, which may be long after
    its last transaction; buckets and SSH servers leave out the milliseconds. Read the headers and
    set `timestamp_ms` before planning.
    """
    files = list(files)
    sure = max(
        (file.name.last for file in files if file.name.first == 1 and _latest_ms(file) < before_ms),
        default=0,
    )
    return [
        file
        for file in files
        if file.timestamp_ms is None and _latest_ms(file) >= before_ms and file.name.last > sure
    ]


def _latest_ms(file: LtxFile) -> int:
    """Return when the last transaction of a file was at the latest, as the listing tells it."""
    is_rounded = file.timestamp_ms is None and file.modified_ms % 1000 == 0
    return file.modified_ms + 999 if is_rounded else file.time_ms


def _chain(files: Iterable[LtxFile], after: int) -> list[LtxFile]:
    """Return the increments that lead furthest from transaction `after`."""
    waiting = sorted(
        (file for file in files if file.name.level != SNAPSHOT_LEVEL and file.name.last > after),
        key=lambda file: file.name.first,
        reverse=True,
    )
    chain: list[LtxFile] = []
    best: LtxFile | None = None
    while True:
        while waiting and waiting[-1].name.first <= after + 1:
            file = waiting.pop()
            if best is None or _rank(file) > _rank(best):
                best = file
        if best is None or best.name.last <= after:
            return chain
        chain.append(best)
        after = best.name.last


def _rank(file: LtxFile) -> tuple[int, int, int, int]:
    """Order files that leave no gap: the greatest is the one to take."""
    return file.name.last, -file.name.first, file.name.level, -file.time_ms


def _plan(chain: list[LtxFile], files: Iterable[LtxFile], last: int, *, starts_anew: bool) -> Plan:
    newest = max(file.name.last for file in files)
    missing = (last + 1, newest) if newest > last else None
    return Plan(tuple(chain), starts_anew, last, missing)
