"""The process that workers are forked from: it has loaded the server, and does nothing else.

It has neither threads nor open files of the server, which a fork would share. It is a copy of the
first process before that has any, or `python -m pds.server.workers.forking` if that copy has been
killed. It reads orders from a socket, and tells there when workers have started and ended.
"""

from __future__ import annotations

import gc
import os
import pickle
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

from pds.server.workers.main import FAILED, run_worker
from pds.server.workers.parent import end_with_parent
from repo.lexicon import default_lexicons

LARGEST_BYTES: Final = 200_000
"""The limit of a message: what one socket takes without settings of the system."""
MOST_FILES: Final = 64
STARTED: Final = "started"
ENDED: Final = "ended"
REFUSED: Final = "refused"


def serve_forks(orders: socket.socket, parent: int) -> NoReturn:
    """Fork a worker for each order, until the process with the pid `parent` has ended."""
    end_with_parent(parent)
    # Whoever signals all processes means the first, and this one ends with it.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # What is never collected is never written to, and stays shared.
    gc.collect()
    gc.freeze()
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    running: dict[int, int] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is not orders:
                selector.unregister(key.fd)
                os.close(key.fd)
                _, status = os.waitpid(running[key.fd], 0)
                _tell(orders, ENDED, running.pop(key.fd), os.waitstatus_to_exitcode(status))
                continue
            data, files, _, _ = socket.recv_fds(orders, LARGEST_BYTES, MOST_FILES)
            if not data:
                os._exit(0)
            own = os.getpid()
            try:
                pid = os.fork()
            except OSError as exc:
                _tell(orders, REFUSED, exc.errno, exc.strerror)
            else:
                if pid == 0:
                    for pidfd in running:
                        os.close(pidfd)
                    selector.close()
                    orders.close()
                    _become_worker(data, files, own)
                pidfd = os.pidfd_open(pid)
                running[pidfd] = pid
                selector.register(pidfd, selectors.EVENT_READ)
                _tell(orders, STARTED, pid)
            for file in files:
                os.close(file)


def _tell(orders: socket.socket, *message: object) -> None:
    orders.send(pickle.dumps(message))


def _become_worker(data: bytes, files: Sequence[int], parent: int) -> NoReturn:
    status = FAILED
    try:
        end_with_parent(parent)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        lock, *listening = files
        spec = pickle.loads(data)  # noqa: S301 (from the first process)
        run_worker(spec, lock=lock, listening=[socket.socket(fileno=file) for file in listening])
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else FAILED
    except BaseException:  # noqa: BLE001 (there is nobody else to tell)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    default_lexicons()
    serve_forks(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
