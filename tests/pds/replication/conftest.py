"""Supervisors in the process of a test notice an outage, or another one, sooner."""

from __future__ import annotations

import pytest

from pds.replication.replica.lease import LeaseTimes

_QUICK = LeaseTimes(renew_s=0.5, retry_s=0.5, settle_s=0.05)


@pytest.fixture(autouse=True)
def quick_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew leases often."""
    monkeypatch.setattr("pds.replication.supervisor.LEASE_TIMES", _QUICK)
