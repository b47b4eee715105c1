"""What goes wrong with replay stores."""

from __future__ import annotations


class ReplayStoreFailed(Exception):
    """The store did not answer in time, or not at all; it says why."""
