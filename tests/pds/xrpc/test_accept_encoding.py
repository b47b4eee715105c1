"""Which encodings a request asks for; the proxy's tests compare answers with the reference's."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from pds.xrpc.accept_encoding import packing_of


@pytest.mark.parametrize(
    ("lines", "coding", "must"),
    [
        ((), None, False),
        (("gzip, deflate",), "gzip", False),
        (("deflate", "gzip"), "gzip", False),
        (("identity;q=0", "deflate"), "deflate", True),
        (("gzip", "gzip;q=0"), None, False),
        (("gzip", "q="), None, False),
    ],
)
def test_a_list_in_several_lines_is_one_list(
    lines: tuple[str, ...], coding: str | None, must: bool
) -> None:
    headers = CIMultiDict([("Accept-Encoding", line) for line in lines])
    packing = packing_of(make_mocked_request("GET", "/", headers))
    assert (packing.coding and packing.coding.value, packing.must) == (coding, must)
