"""Structured logs: one line an event, as JSON for machines or in colour on a terminal."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(*, level: str = "info", enabled: bool = True) -> None:
    """Send the logs of this process to standard error.

    `level` is one of debug, info, warning, error. With `enabled` false only errors come out.
    """
    threshold = getattr(logging, level.upper(), logging.INFO) if enabled else logging.ERROR
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries speak through the standard library; only their warnings concern an operator.
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s"
    )
