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
    """The last step of a log line: the event with its time, level and logger, as JSON."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._second = 0
        self._second_text = ""

    def __call__(self, logger: Any, method_name: str, event: structlog.typing.EventDict) -> bytes:
        """Render `event`, logged by calling `method_name` of `logger`."""
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, method_name, event)
        level = "error" if method_name == "exception" else method_name
        return self.render(level, logger.name, event)

    def render(self, level: str, name: str, event: Mapping[str, Any]) -> bytes:
        """Render an event of the logger `name`."""
        line = {"timestamp": self._now(), "level": level, "logger": name, **event}
        try:
            return orjson.dumps(line, default=repr)
        except TypeError:
            # Text that is no Unicode, such as half of a surrogate pair from a stranger's URL.
            return json.dumps(line, default=repr).encode()

    def _now(self) -> str:
        """The time as ISO 8601 with milliseconds; the date is put together once a second."""
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((now - second) * 1000):03}Z"
