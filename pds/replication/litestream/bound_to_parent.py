"""Starts a program that ends with the process that started it, even if that is killed.

`python -I -S bound_to_parent.py <pid of the parent> <program> <arguments…>`: this file runs on its
own, in a process that becomes the program. Two daemons on the same databases would spoil each
other's work, so the one of a killed supervisor must not outlive it. To Linux, the parent is the
thread that starts a process, so it has to be the main one.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the program. Ends with status 1 if the parent has ended already."""
    parent = int(arguments[0])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the parent has ended")
    os.execv(arguments[1], arguments[1:])  # noqa: S606 (the program is our caller's choice)


if __name__ == "__main__":
    main(sys.argv[1:])
