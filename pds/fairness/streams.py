"""Limits on concurrent long responses: downloads of repositories and blobs, the firehose."""

from __future__ import annotations

from typing import Final

from pds.fairness.future_cursors import FutureCursors
from pds.fairness.long_answers import LongAnswers
from pds.fairness.per_process import per_process
from pds.fairness.slices import Slices
from pds.fairness.turns import Turns

FILES: Final = 8_192
"""With a lower limit of open files, turns are reduced in proportion, so that these responses and
their connections together never take more than a third of the files."""
REPOS: Final = 128
REPOS_EACH: Final = 64
"""Downloads of repositories, in total and per address. Each holds a database connection with
three files and a megabyte. Four threads produce their parts, so more at once would not be faster.
Relays that are catching up request some dozens at a time."""
BLOBS: Final = 256
BLOBS_EACH: Final = 128
"""Downloads of blobs, in total and per address. Each holds a file."""
SUBSCRIBERS: Final = 1_000
SUBSCRIBERS_EACH: Final = 100
"""Firehose consumers, in total and per address. The whole network has some dozens of relays."""
_WAIT_S: Final = 10.0
_RETRY_AFTER_S: Final = 10


class Streams:
    """The turns of one process of a server."""

    def __init__(self, max_files: int = FILES, *, processes: int = 1) -> None:
        """`max_files` is the limit of open files of each of the server's `processes`."""
        part = min(1.0, max_files / FILES)
        self.repos = _answers(
            "downloads of repositories",
            part,
            at_once=per_process(REPOS, processes),
            each=per_process(REPOS_EACH, processes),
        )
        self.blobs = _answers("downloads of blobs", part, at_once=BLOBS, each=BLOBS_EACH)
        self.subscribers = _answers(
            "consumers of the firehose", part, at_once=SUBSCRIBERS, each=SUBSCRIBERS_EACH
        )
        self.future_cursors = FutureCursors()
        self.backfills = Slices()
        """For consumers that are catching up, by address."""


def _answers(what: str, part: float, *, at_once: int, each: int) -> LongAnswers:
    return LongAnswers(
        Turns(
            what,
            at_once=max(1, int(part * at_once)),
            each=max(1, int(part * each)),
            waiting=2 * each,
            waiting_each=each,
            wait_s=_WAIT_S,
            retry_after_s=_RETRY_AFTER_S,
        )
    )
