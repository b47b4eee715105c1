"""A process that ends with the one that started it, even if that is killed and this one hangs.

A worker that outlives the first process would keep the data directory locked, and write on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(parent: int) -> None:
    """Have the system kill this process as soon as its parent, of that pid, has ended.

    To Linux, the parent is the thread that started it. If it has ended already, so does this one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        sys.exit("the parent has ended")
