"""Log lines as JSON, one object each."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from database.timestamps import Clock


class JsonLines:
    """The last structlog processor: renders the event with time, level and logger as JSON."""

    def __init__(self, clock: Clock = time.time) -> None:
        self.clock = clock
        self._second = (0, "")

    def __call__(self, logger: Any, method_name: str, event: structlog.typing.EventDict) -> bytes:
        """Render `event`, logged by calling `method_name` of `logger`."""
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, method_name, event)
        level = "error" if method_name == "exception" else method_name
        return self.render(level, logger.name, event, self.clock())

    def render(self, level: str, name: str, event: Mapping[str, Any], now_s: float) -> bytes:
        """Render an event of the logger `name` at a Unix time."""
        line = {"timestamp": self._timestamp(now_s), "level": level, "logger": name, **event}
        try:
            return orjson.dumps(line, default=repr)
        except TypeError:
            # Text that is not valid Unicode, such as a lone surrogate in a client's URL.
            return json.dumps(line, default=repr).encode()

    def _timestamp(self, now_s: float) -> str:
        """Format a time as ISO 8601 with milliseconds; seconds are formatted only once each."""
        whole = int(now_s)
        second, text = self._second
        if second != whole:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
            self._second = (whole, text)
        return f"{text}.{int((now_s - whole) * 1000):03}Z"
