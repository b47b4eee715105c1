"""The error raised for settings that cannot work."""

from __future__ import annotations


class ConfigError(ValueError):
    """The server cannot start with the settings.

    `problems` holds every problem found, each naming its variable and what to do about it, so that
    an operator can fix them all at once instead of one per start.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The settings have {len(problems)} problem(s):\n{lines}")
