"""The refusal to start with settings that cannot work."""

from __future__ import annotations


class ConfigError(ValueError):
    """Settings that the server cannot start with.

    `problems` holds every one found, each naming its variable and what to do about it, so that an
    operator mends the environment once and not once per start.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The settings have {len(problems)} problem(s):\n{lines}")
