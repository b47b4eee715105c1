"""Structured logs: one line per event, as JSON for machines or in colour on a terminal."""

from pds.monitoring.logs.configuration import Logs, configure_logs

__all__ = ["Logs", "configure_logs"]
