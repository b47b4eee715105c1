"""The shapes of random codes."""

from __future__ import annotations

import base64
import re

from pds.accounts import codes


def test_codes_have_the_shapes_of_the_reference() -> None:
    invite = codes.new_invite_code("pds.example.com")
    assert re.fullmatch(r"pds-example-com-[a-z2-7]{5}-[a-z2-7]{5}", invite)
    assert re.fullmatch(r"[A-Z2-7]{5}-[A-Z2-7]{5}", codes.new_email_token())
    assert re.fullmatch(r"([a-z2-7]{4}-){3}[a-z2-7]{4}", codes.new_app_password())
    assert len(base64.b64decode(codes.new_refresh_jti() + "=")) == 32


def test_codes_do_not_repeat() -> None:
    assert len({codes.new_email_token() for _ in range(1000)}) == 1000
