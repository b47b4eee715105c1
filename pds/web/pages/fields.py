"""The fields of a form as browsers send them, in their order."""

from __future__ import annotations

from urllib.parse import parse_qsl


class InvalidForm(ValueError):
    """Bytes that are no form, or one with too many fields."""


def parse_fields(raw: bytes, *, max_fields: int) -> list[tuple[str, str]]:
    """Return the names and values of a form. Raises `InvalidForm`."""
    try:
        return parse_qsl(
            raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=max_fields
        )
    except ValueError as exc:
        raise InvalidForm("Invalid form") from exc
