"""Progress bars on standard error: not for short work, and not into a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from pds.reporting import Progress, no_progress

_PATIENCE_S: Final = 0.5


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show each step as a bar, once the work has taken half a second."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    with ExitStack() as stack:
        started_s = time.monotonic()
        bars: Any = None
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            nonlocal bars
            if time.monotonic() - started_s < _PATIENCE_S:
                return
            if bars is None:
                bars = stack.enter_context(_new_bars())
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total or None)
            bars.update(tasks[step], completed=done, total=total or None)

        yield show


def _new_bars() -> Any:
    # Rich takes a tenth of a second to import.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True, emoji=False), transient=True)
