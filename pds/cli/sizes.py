"""Sizes as people write them: `10GB`, `1.5 GiB`, `4096`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_FACTORS: Final = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgtp", 1)},
    # As in `du -h` and systemd.
    **{prefix: 1024**power for power, prefix in enumerate("kmgtp", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgtp", 1)},
}
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})", re.ASCII)
_MOST: Final = 2**63 - 1


def parse_size(text: str) -> int:
    """Return the number of bytes. Units are powers of 1000, or of 1024 (`MiB`, or `M`).

    Raises `ValueError` for what is not a size, or larger than any file system.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f'"{text}" is not a size such as 500MB, 2.5GiB or 1000000')
    size = int(Decimal(match[1]) * factor)
    if size > _MOST:
        raise ValueError(f'"{text}" is more than any disk holds')
    return size
